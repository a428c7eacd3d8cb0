//! What a wallet signs to move a token (EIP-712 over the message of EIP-3009, or over that of Permit2), and who
//! signed it.

use secp256k1::{
    Message, PublicKey, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use sha3::{Digest, Keccak256};

use super::number::{Address, Word};

const DOMAIN: &[u8] =
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

const TRANSFER: &[u8] = b"TransferWithAuthorization(address from,address to,uint256 value,\
      uint256 validAfter,uint256 validBefore,bytes32 nonce)";

const PERMIT2_DOMAIN: &[u8] =
    b"EIP712Domain(string name,uint256 chainId,address verifyingContract)";

const PERMITTED: &[u8] = b"TokenPermissions(address token,uint256 amount)";

const WITNESS: &[u8] = b"Witness(address to,uint256 validAfter)";

const PERMIT: &[u8] = b"PermitWitnessTransferFrom(TokenPermissions permitted,address spender,\
      uint256 nonce,uint256 deadline,Witness witness)\
      TokenPermissions(address token,uint256 amount)Witness(address to,uint256 validAfter)";

/// The contract Permit2, which stands at one address on every chain.
const PERMIT2: Address = Address([
    0x00, 0x00, 0x00, 0x00, 0x00, 0x22, 0xd4, 0x73, 0x03, 0x0f, 0x11, 0x6d, 0xde, 0xe9, 0xf6, 0xb4,
    0x3a, 0xc7, 0x8b, 0xa3,
]);

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

/// The order to Permit2 to let a contract move an amount of a token, once, within a time, to whom the payer names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Permit {
    pub(super) from: Address,
    pub(super) token: Address,
    pub(super) amount: Word,
    pub(super) spender: Address,
    pub(super) nonce: Word,
    pub(super) deadline: Word,
    pub(super) to: Address,
    pub(super) valid_after: Word,
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

    /// Makes that of Permit2.
    pub(super) fn of_permit2(chain: u64) -> Self {
        Self(keccak(&[
            &keccak(&[PERMIT2_DOMAIN]),
            &keccak(&[b"Permit2"]),
            &Word::from(chain).0,
            &padded(PERMIT2),
        ]))
    }

    fn digest(&self, message: [u8; 32]) -> [u8; 32] {
        keccak(&[b"\x19\x01", &self.0, &message])
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
        domain.digest(message)
    }
}

impl Permit {
    /// Gives what is signed.
    pub(super) fn digest(&self, domain: &Domain) -> [u8; 32] {
        let Self { from: _, token, amount, spender, nonce, deadline, to, valid_after } = self;
        let permitted = keccak(&[&keccak(&[PERMITTED]), &padded(*token), &amount.0]);
        let witness = keccak(&[&keccak(&[WITNESS]), &padded(*to), &valid_after.0]);
        domain.digest(keccak(&[
            &keccak(&[PERMIT]),
            &permitted,
            &padded(*spender),
            &nonce.0,
            &deadline.0,
            &witness,
        ]))
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
    address_of(&signature.recover(Message::from_digest(digest)).ok()?)
}

/// Signs a digest.
pub(super) fn sign(digest: [u8; 32], secret: &SecretKey) -> String {
    let message = Message::from_digest(digest);
    let signature = RecoverableSignature::sign_ecdsa_recoverable(message, secret);
    let (parity, compact) = signature.serialize_compact();
    let digits: String = compact.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}{:02x}", u8::from(parity).saturating_add(27))
}

/// Gives whom a key signs for.
pub(super) fn address(secret: &SecretKey) -> Option<Address> {
    address_of(&PublicKey::from_secret_key(secret))
}

fn address_of(key: &PublicKey) -> Option<Address> {
    let key = key.serialize_uncompressed();
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
