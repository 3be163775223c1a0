"""Signs and verifies with PyJWT what a test asks for: JSON in, JSON out."""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def key_of(request):
    if "jwk" in request:
        return jwt.PyJWK(request["jwk"], request["alg"]).key
    return bytes.fromhex(request["key"])


def verify(request):
    try:
        return jwt.decode(
            request["token"],
            key_of(request),
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


def generate(request):
    """A key pair of its own: its public key, and a token."""
    alg = request["alg"]
    key = {
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
    }[alg]()
    jwk = jwt.get_algorithm_by_name(alg).to_jwk(key.public_key(), as_dict=True)
    token = jwt.encode(request["claims"], key, algorithm=alg, headers=request["header"])
    return {"jwk": jwk, "token": token}


work = json.load(sys.stdin)
json.dump(
    {
        "verified": [verify(request) for request in work["verify"]],
        "signed": [sign(request) for request in work.get("sign", [])],
        "generated": [generate(request) for request in work.get("generate", [])],
    },
    sys.stdout,
)
