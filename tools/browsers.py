"""What people call a browser: a user agent is no text for people."""

from odoo.tools._vendor.useragents import UserAgent


def describe_browser(user_agent: str) -> str:
    """Return the names of a browser and of its system, "" if they are not known."""
    agent = UserAgent(user_agent)
    if not agent.browser:
        return ""
    parts = (agent.browser, agent.version, agent.platform)
    return " ".join(filter(None, parts)).title()
