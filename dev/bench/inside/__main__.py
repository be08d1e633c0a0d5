"""Read tasks from the standard input, and write their results, a line for each."""

import importlib
import json
import os
import sys
import threading
import traceback

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.service import server
from odoo.tools import config


def find(name):
    """Return the task of a name: ``wait``, or ``module.function`` of this package."""
    if name == "wait":
        # The answer says that Odoo's models are loaded.
        return lambda _env: None
    module, _, task = name.partition(".")
    # Not before Odoo knows where its addons are.
    return importlib.import_module(f".{module}", __package__).TASKS[task]


def main(database, config_path):
    # Whatever prints something does not print it between the results.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    config.parse_config(["-c", config_path, "-d", database], setup_logging=True)
    server.start(preload=[], stop=True)
    threading.current_thread().dbname = database
    registry = Registry(database)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            registry.check_signaling()
            with registry.cursor() as cr:
                env = api.Environment(cr, SUPERUSER_ID, {})
                answer = {"result": find(name)(env, **arguments)}
        # What fails is said by the program that has asked.
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers)


main(*sys.argv[1:])
