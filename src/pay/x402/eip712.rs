//! What a wallet signs to move a token (EIP-712 over the message of EIP-3009), and who signed it.

use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use sha3::{Digest, Keccak256};

use super::number::{Address, Word};

const DOMAIN: &[u8] =
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

const TRANSFER: &[u8] = b"TransferWithAuthorization(address from,address to,uint256 value,\
      uint256 validAfter,uint256 validBefore,bytes32 nonce)";

/// The order to move an amount of a token, once, within a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pay) struct Authorization {
    pub(in crate::pay) from: Address,
    pub(super) to: Address,
    pub(super) value: Word,
    pub(super) valid_after: Word,
    pub(super) valid_before: Word,
    pub(in crate::pay) nonce: [u8; 32],
}

/// The digest of what tells one token's orders from all others'.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Domain([u8; 32]);

impl Domain {
    /// Makes it of the token's own name and version, its chain and its address.
    pub(super) fn new(name: &str, version: &str, chain: u64, contract: Address) -> Self {
        Self(keccak(&[
            &keccak(&[DOMAIN]),
            &keccak(&[name.as_bytes()]),
            &keccak(&[version.as_bytes()]),
            &Word::from(chain).0,
            &padded(contract),
        ]))
    }
}

impl Authorization {
    /// Gives what is signed.
    pub(super) fn digest(&self, domain: &Domain) -> [u8; 32] {
        let Self { from, to, value, valid_after, valid_before, nonce } = self;
        let message = keccak(&[
            &keccak(&[TRANSFER]),
            &padded(*from),
            &padded(*to),
            &value.0,
            &valid_after.0,
            &valid_before.0,
            nonce,
        ]);
        keccak(&[b"\x19\x01", &domain.0, &message])
    }
}

/// Gives who signed a digest; `None` where nobody can have.
pub(super) fn signer(digest: [u8; 32], signature: &[u8; 65]) -> Option<Address> {
    let [compact @ .., last] = signature;
    // Wallets say 27 and 28, some libraries 0 and 1.
    let parity = match last {
        0 | 27 => 0,
        1 | 28 => 1,
        _ => return None,
    };
    let parity = RecoveryId::try_from(parity).ok()?;
    let signature = RecoverableSignature::from_compact(compact, parity).ok()?;
    let key = signature.recover(Message::from_digest(digest)).ok()?.serialize_uncompressed();
    let hashed = keccak(&[key.get(1..)?]);
    hashed.get(12..)?.try_into().ok().map(Address)
}

fn padded(Address(bytes): Address) -> [u8; 32] {
    let mut word = [0; 32];
    for (byte, part) in word.iter_mut().rev().zip(bytes.into_iter().rev()) {
        *byte = part;
    }
    word
}

/// Gives the hash of some parts, one behind the other.
pub(in crate::pay) fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}
