"""Tests that need more than Odoo: a Matomo, a browser, PHP or PostgreSQL's programs.

They are tagged ``matomo_external`` instead of ``standard``. ``make test`` runs them.
"""
