//! Whether a signature is of a key that is at hand.
//!
//! An Ed25519 signature of a message is a point R and a number S = r + k·s (mod L), where k is a hash of R, the public key and
//! the message, s is the secret number, and r is a hash of the message with a secret prefix (RFC 8032, 5.1.6). Who has the key
//! computes r, k and so S by two hashes and one product; anyone else has to compare points of the curve, which takes ten times
//! as long. For a message never signed r is as good as random to who has no key, and so is S, whatever R they show. For one that
//! was signed they know S, and another R needs S + (k' - k)·s, for which they lack s. So what is believed here is what the
//! public check believes, R included.

use curve25519_dalek::Scalar;
use ed25519_dalek::{SigningKey, hazmat::ExpandedSecretKey};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// Bytes of the point, which stands first.
const POINT_BYTES: usize = 32;

/// Whether `key` made this signature of the message.
pub(crate) fn signed(key: &SigningKey, message: &[u8], signature: &[u8]) -> bool {
    let Some((point, number)) = signature.split_first_chunk::<POINT_BYTES>() else { return false };
    let secret = ExpandedSecretKey::from(key.as_bytes());
    let r = hashed(&[&secret.hash_prefix, message]);
    let k = hashed(&[point, key.verifying_key().as_bytes(), message]);
    // In constant time: nobody learns from it how much of a made-up signature was right.
    (r + k * secret.scalar).as_bytes().ct_eq(number).into()
}

fn hashed(parts: &[&[u8]]) -> Scalar {
    let hash = parts.iter().fold(Sha512::new(), Sha512::chain_update);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signer;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_signature_is_known_and_no_other(
            seed: [u8; 32],
            other: [u8; 32],
            message in prop::collection::vec(any::<u8>(), 0..400),
            bit in 0..64 * 8_usize,
        ) {
            let (key, other) = (SigningKey::from_bytes(&seed), SigningKey::from_bytes(&other));
            let signature = key.sign(&message).to_bytes();
            prop_assert!(signed(&key, &message, &signature));
            prop_assert_eq!(signed(&other, &message, &signature), other == key);
            prop_assert!(!signed(&key, &[&message[..], b"."].concat(), &signature));
            let mut damaged = signature;
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!signed(&key, &message, &damaged));
            prop_assert!(!signed(&key, &message, &signature[..bit / 8]));
            prop_assert!(!signed(&key, &message, &[&signature[..], b"x"].concat()));
        }

        #[test]
        fn a_number_that_is_too_large_by_the_order_is_refused(seed: [u8; 32], message: [u8; 32]) {
            // S + L passes a check that does not ask for the least number (RFC 8032, 8.4).
            let key = SigningKey::from_bytes(&seed);
            let mut signature = key.sign(&message).to_bytes();
            let order: [u8; 32] = (Scalar::ZERO - Scalar::ONE).to_bytes();
            let mut carry = 1_u16;
            for (byte, order) in signature[POINT_BYTES..].iter_mut().zip(order) {
                carry += u16::from(*byte) + u16::from(order);
                *byte = carry.to_le_bytes()[0];
                carry >>= 8;
            }
            prop_assert!(!signed(&key, &message, &signature));
        }
    }
}
