from . import controllers
from . import models
from . import wizard
from .tools.logging import hide_tokens

# No post_load hook: Odoo passes over it where the addon was imported before.
hide_tokens()
