"""Tell a database from its copies."""


def is_same_database(known: str | bool, here: str | bool) -> bool:
    """Return whether two keys are of one database.

    A key is ``<identifier of the server>-<number of the database on it>``. Where the
    database's user may not read the identifier, it is empty: then the number decides,
    so that a right that is given or taken makes no copy of the original.

    :param known: the key that was noted before, False if none was
    """
    if not known or not here:
        return known == here
    (server, _dash, number), (server_here, _dash, number_here) = (
        key.partition("-") for key in (known, here)
    )
    is_same_server = not server or not server_here or server == server_here
    return is_same_server and number == number_here
