// What stands on every known chain, as far as payments need it, and is put where that stands: Permit2, the contract
// through which x402 pays by it, and Multicall3, by which a facilitator finds out why a payment is not good.
// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.0;

interface Movable {
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

struct TokenPermissions {
    address token;
    uint256 amount;
}

struct PermitTransferFrom {
    TokenPermissions permitted;
    uint256 nonce;
    uint256 deadline;
}

struct TransferDetails {
    address to;
    uint256 requestedAmount;
}

contract Permit2 {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
    bytes32 private constant PERMITTED = keccak256("TokenPermissions(address token,uint256 amount)");
    string private constant STUB =
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,";

    mapping(address => mapping(uint256 => uint256)) public nonceBitmap;

    error InvalidNonce();

    function permitWitnessTransferFrom(
        PermitTransferFrom memory permit, TransferDetails calldata details, address owner, bytes32 witness,
        string calldata witnessType, bytes calldata signature
    ) external {
        require(block.timestamp <= permit.deadline, "the signature is expired");
        require(details.requestedAmount <= permit.permitted.amount, "the amount is not permitted");
        uint256 bit = 1 << (permit.nonce & 0xff);
        if (nonceBitmap[owner][permit.nonce >> 8] & bit != 0) revert InvalidNonce();
        nonceBitmap[owner][permit.nonce >> 8] |= bit;
        bytes32 message = keccak256(
            abi.encode(
                keccak256(abi.encodePacked(STUB, witnessType)),
                keccak256(abi.encode(PERMITTED, permit.permitted.token, permit.permitted.amount)),
                msg.sender, permit.nonce, permit.deadline, witness
            )
        );
        bytes32 domain = keccak256(abi.encode(DOMAIN, keccak256("Permit2"), block.chainid, address(this)));
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", domain, message));
        require(signature.length == 65, "invalid signature");
        address signer =
            ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64]));
        require(signer != address(0) && signer == owner, "invalid signature");
        Movable(permit.permitted.token).transferFrom(owner, details.to, details.requestedAmount);
    }
}

contract Proxy {
    struct Witness {
        address to;
        uint256 validAfter;
    }

    Permit2 public constant PERMIT2 = Permit2(0x000000000022D473030F116dDEE9F6B43aC78BA3);
    bytes32 private constant WITNESS = keccak256("Witness(address to,uint256 validAfter)");
    string private constant WITNESS_TYPE =
        "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,uint256 validAfter)";

    event Settled();

    function settle(
        PermitTransferFrom calldata permit, address owner, Witness calldata witness, bytes calldata signature
    ) external {
        require(block.timestamp >= witness.validAfter, "payment is too early");
        bytes32 hashed = keccak256(abi.encode(WITNESS, witness.to, witness.validAfter));
        TransferDetails memory details = TransferDetails(witness.to, permit.permitted.amount);
        PERMIT2.permitWitnessTransferFrom(permit, details, owner, hashed, WITNESS_TYPE, signature);
        emit Settled();
    }
}

contract Multicall {
    struct Call {
        address target;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function tryAggregate(bool requireSuccess, Call[] calldata calls)
        external payable returns (Result[] memory results)
    {
        results = new Result[](calls.length);
        for (uint256 at = 0; at < calls.length; at++) {
            (bool success, bytes memory returned) = calls[at].target.call(calls[at].callData);
            require(success || !requireSuccess, "a call failed");
            results[at] = Result(success, returned);
        }
    }
}
