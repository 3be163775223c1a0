"""Signs and verifies with PyJWT what a test asks for: JSON in, JSON out."""

import json
import sys

import jwt


def verify(request):
    try:
        return jwt.decode(
            request["token"],
            bytes.fromhex(request["key"]),
            algorithms=[request["alg"]],
            issuer=request["iss"],
            audience=request["aud"],
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except jwt.PyJWTError as error:
        return {"error": type(error).__name__}


def sign(request):
    return jwt.encode(
        request["claims"],
        bytes.fromhex(request["key"]),
        algorithm=request["alg"],
        headers=request["header"],
    )


work = json.load(sys.stdin)
json.dump(
    {
        "verified": [verify(request) for request in work["verify"]],
        "signed": [sign(request) for request in work["sign"]],
    },
    sys.stdout,
)
