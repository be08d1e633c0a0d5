"""A copy of the test's database, and Odoo's own commands on it."""

import os
import subprocess
import sys
from contextlib import closing

from odoo.service.db import _create_empty_database, _drop_conn
from odoo.sql_db import close_db, db_connect
from odoo.tests import BaseCase
from odoo.tools import SQL, config
from odoo.tools.misc import exec_pg_environ, find_pg_tool


class CopyCase(BaseCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = config["db_name"][0]
        cls.copy = f"{cls.source}_copy"
        cls.drop()
        cls.addClassCleanup(cls.drop)
        _create_empty_database(cls.copy)
        with subprocess.Popen(
            [find_pg_tool("pg_dump"), "--no-owner", cls.source],
            stdout=subprocess.PIPE,
            env=exec_pg_environ(),
        ) as dump:
            subprocess.run(
                [find_pg_tool("psql"), "--quiet", "-v", "ON_ERROR_STOP=1", cls.copy],
                stdin=dump.stdout,
                stdout=subprocess.DEVNULL,
                env=exec_pg_environ(),
                check=True,
            )

    @classmethod
    def drop(cls):
        close_db(cls.copy)
        with closing(db_connect("postgres").cursor()) as cr:
            cr._cnx.autocommit = True
            _drop_conn(cr, cls.copy)
            cr.execute(SQL("DROP DATABASE IF EXISTS %s", SQL.identifier(cls.copy)))

    def odoo(
        self,
        command,
        *arguments,
        script="",
        log=os.devnull,
        timeout=300,
        **environment,
    ):
        """Run a command of Odoo on the copy. Return the last line it prints.

        :param log: the path of a file for all that is logged at debug level
        :param timeout: of the command (seconds)
        """
        done = subprocess.run(
            # fmt: off
            [
                sys.executable,
                "-P",
                "-m",
                "odoo",
                command,
                "-d",
                self.copy,
                "-c",
                config["config"],
                "--logfile",
                log,
                "--log-level=debug",
                "--log-handler=:DEBUG",
                *arguments,
            ],
            # fmt: on
            input=script,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=timeout,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return done.stdout.strip().rpartition("\n")[2]

    def sql(self, text):
        """Run SQL statements on the copy. Return the rows of the last one as text."""
        return subprocess.run(
            [find_pg_tool("psql"), "-X", "-qAt", "-v", "ON_ERROR_STOP=1", self.copy],
            input=text,
            capture_output=True,
            text=True,
            env=exec_pg_environ(),
            check=True,
        ).stdout.strip()

    def dump(self):
        """Return the whole copy as SQL text."""
        return subprocess.run(
            [find_pg_tool("pg_dump"), self.copy],
            capture_output=True,
            text=True,
            env=exec_pg_environ(),
            check=True,
        ).stdout
