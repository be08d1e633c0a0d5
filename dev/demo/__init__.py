"""The demo: sell in Odoo from outside, then compare its figures with Matomo's reports.

A merchant sets up a shop and a till, a guest buys in the web shop, a cashier sells at
a till that loses its network, and the running server's own scheduled actions deliver.
Each run has a new database and a new Matomo site, so both sides hold its sales alone.
"""
