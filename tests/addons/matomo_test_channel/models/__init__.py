from . import matomo_request
from . import matomo_test_ticket
