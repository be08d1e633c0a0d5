"""What the workers do, in Odoo's own Python: ``python -m inside DATABASE CONFIG``.

A task is a function that takes an environment of the superuser and arguments that
JSON can hold, and returns what JSON can hold.
"""
