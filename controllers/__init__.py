from . import browser
from . import health
from . import portal
from . import privacy
