"""Refreshes a token with requests-oauthlib. Prints the new token, or the error that it raises."""

import os
import sys

from oauthlib.oauth2 import OAuth2Error
from requests_oauthlib import OAuth2Session

# The test serves plain HTTP on the loopback address.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

url, token = sys.argv[1:]
session = OAuth2Session("test", token={"access_token": "old", "refresh_token": token})
try:
    refreshed = session.refresh_token(url)
    print(refreshed["token_type"], refreshed["access_token"])
except OAuth2Error as error:
    print(type(error).__name__)
