"""Runs one script of tlsfuzzer with what is common today: NAME [OPTION…]."""

import random
import sys
from importlib import import_module

from tlsfuzzer.expect import ExpectCertificate, ExpectCertificateStatus, ExpectServerHelloDone, ExpectServerKeyExchange
from tlsfuzzer.helpers import RSA_SIG_ALL
from tlsfuzzer.messages import ClientHelloGenerator
from tlsfuzzer.tree import TreeNode
from tlslite.constants import CipherSuite, ExtensionType, GroupName
from tlslite.extensions import SignatureAlgorithmsExtension, SupportedGroupsExtension

# Most scripts for TLS 1.2 speak by CBC or by a key exchange of RSA alone, which is not what they are about and which
# some servers have no longer.
COMMON = CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
OLD = [
    f"TLS_{exchange}_WITH_AES_{rest}"
    for exchange in ("RSA", "DHE_RSA", "ECDHE_RSA")
    for rest in ("128_CBC_SHA", "128_CBC_SHA256", "256_CBC_SHA", "256_CBC_SHA256")
    if not (exchange == "ECDHE_RSA" and rest == "256_CBC_SHA256")
]


def main():
    for name in OLD:
        setattr(CipherSuite, name, COMMON)
    # The script reads what is left.
    name = sys.argv.pop(1)
    if not name.startswith("tls13"):
        ClientHelloGenerator.__init__ = begun(ClientHelloGenerator.__init__)
        TreeNode.add_child = followed(TreeNode.add_child)
    # Where a script draws some of its cases, it draws the same ones for each server.
    random.seed(1)
    import_module(f"tlsfuzzer._apps.test_{name}").main()


def begun(init):
    """Adds what the suite needs to the first message of whoever says nothing of groups or signatures."""

    def with_extensions(self, *arguments, **named):
        init(self, *arguments, **named)
        if self.extensions == {} or self.ssl2:
            return
        self.extensions = {**(self.extensions or {})}
        groups = SupportedGroupsExtension().create([GroupName.secp256r1])
        self.extensions.setdefault(ExtensionType.supported_groups, groups)
        signatures = SignatureAlgorithmsExtension().create(RSA_SIG_ALL)
        self.extensions.setdefault(ExtensionType.signature_algorithms, signatures)

    return with_extensions


def followed(add_child):
    """Awaits the server's share of the key exchange, which there is none of where RSA alone makes the key."""

    def with_exchange(self, child):
        if isinstance(child, ExpectServerHelloDone) and isinstance(self, (ExpectCertificate, ExpectCertificateStatus)):
            self = add_child(self, ExpectServerKeyExchange())
        return add_child(self, child)

    return with_exchange


main()
