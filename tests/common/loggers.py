"""The loggers that tests mute or listen to."""

# Every module of the addon logs below this one. A test that mutes it or listens to it
# does not depend on the file that a method stands in.
LOGGER = "odoo.addons.matomo_order_tracking"
