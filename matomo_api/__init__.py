"""What Matomo understands: tracking requests, items, HTTP and its answers.

This package knows Matomo and not Odoo: it imports nothing from it and can be
used and tested alone.
"""
