"""What a delivery has found out is written down, in one transaction."""

from ..matomo_api.delivery import Report, SiteOutcome


def apply_report(requests, site, report: Report):
    """Apply the outcomes of a report to the site and to the requests.

    :param requests: an empty recordset of the model of the requests
    """
    keys = [each.key for outcome in report.outcomes for each in outcome.attempts]
    # An order may have been deleted meanwhile, and its requests with it.
    known_ids = requests.browse(keys).exists()._ids
    for outcome in report.outcomes:
        if isinstance(outcome, SiteOutcome):
            site._apply(outcome)
            continue
        ids = [each.key for each in outcome.attempts if each.key in known_ids]
        if ids:
            # What is read of one is read of all.
            requests.browse(ids).with_prefetch(known_ids)._apply(outcome)
