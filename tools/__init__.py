"""Plain Python that knows Odoo: no models, nothing of Matomo's wire."""
