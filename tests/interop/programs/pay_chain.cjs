// A chain of its own with a token on it, and the stock facilitator before it: pay_chain.cjs PORT ANVIL_PORT [fed].
// It listens when the token is there; GET /terms tells which it is, and GET /balance?of=ADDRESS what somebody has of it.
// Where it is fed it ends with its input, so that it does not outlive who started it.
"use strict";

const { spawn } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const path = require("node:path");
const solc = require("solc");
const { createWalletClient, defineChain, http, publicActions } = require("viem");
const { privateKeyToAccount } = require("viem/accounts");
const { x402Facilitator } = require("@x402/core/facilitator");
const { PERMIT2_ADDRESS, toFacilitatorEvmSigner, x402ExactPermit2ProxyAddress } = require("@x402/evm");
const { registerExactEvmScheme } = require("@x402/evm/exact/facilitator");

const [port, chainPort] = process.argv.slice(2, 4).map(Number);
const CHAIN = 84532;
const NETWORK = `eip155:${CHAIN}`;
// The first three that anvil gives money to: who carries out, who pays, who is paid.
const KEYS = [
  "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
  "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];
const PAYER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const MULTICALL = "0xcA11bde05977b3631167028862bE2a173976CA11";
const PAY_TO = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

function compiled(file) {
  const content = readFileSync(path.join(__dirname, file), "utf8");
  const input = {
    language: "Solidity",
    sources: { [file]: { content } },
    settings: {
      optimizer: { enabled: true, runs: 200 },
      viaIR: true,
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const contracts = output.contracts?.[file];
  if (!contracts) {
    throw new Error(JSON.stringify(output.errors));
  }
  return contracts;
}

function anvil() {
  const home = path.dirname(require.resolve("@foundry-rs/anvil/package.json"));
  const { platform, arch } = process;
  const name = `anvil-${platform === "win32" ? "win32" : platform}-${arch === "x64" ? "amd64" : arch}`;
  const program = path.join(home, "..", name, "bin", "anvil");
  const child = spawn(program, ["--port", String(chainPort), "--chain-id", String(CHAIN), "--silent"], {
    stdio: "ignore",
  });
  const stop = () => {
    child.kill();
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  if (process.argv[4] === "fed") {
    process.stdin.on("end", stop).resume();
  }
  child.on("exit", () => process.exit(1));
}

async function client() {
  const url = `http://127.0.0.1:${chainPort}`;
  const chain = defineChain({
    id: CHAIN,
    name: "test",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [url] } },
  });
  const made = createWalletClient({ account: privateKeyToAccount(KEYS[0]), chain, transport: http(url) });
  const full = made.extend(publicActions);
  for (let tries = 0; ; tries += 1) {
    try {
      await full.getBlockNumber();
      return full;
    } catch (error) {
      if (tries > 200) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function body(request) {
  const pieces = [];
  for await (const piece of request) {
    pieces.push(piece);
  }
  return JSON.parse(Buffer.concat(pieces).toString());
}

async function main() {
  anvil();
  const chain = await client();
  const { abi, evm } = compiled("token.sol").Token;
  const bytecode = `0x${evm.bytecode.object}`;
  const deployed = await chain.waitForTransactionReceipt({ hash: await chain.deployContract({ abi, bytecode }) });
  const token = { address: deployed.contractAddress, abi };
  const minted = await chain.writeContract({ ...token, functionName: "mint", args: [PAYER, 1_000_000n] });
  await chain.waitForTransactionReceipt({ hash: minted });
  const { Multicall, Permit2, Proxy: Paying } = compiled("contracts.sol");
  for (const [address, contract] of [
    [PERMIT2_ADDRESS, Permit2],
    [x402ExactPermit2ProxyAddress, Paying],
    [MULTICALL, Multicall],
  ]) {
    const code = `0x${contract.evm.deployedBytecode.object}`;
    await chain.request({ method: "anvil_setCode", params: [address, code] });
  }
  const payer = createWalletClient({ account: privateKeyToAccount(KEYS[1]), chain: chain.chain, transport: http() });
  const allowed = await payer.writeContract({ ...token, functionName: "approve", args: [PERMIT2_ADDRESS, 1_000_000n] });
  await chain.waitForTransactionReceipt({ hash: allowed });
  const signer = toFacilitatorEvmSigner({
    address: chain.account.address,
    readContract: (args) => chain.readContract({ ...args, args: args.args ?? [] }),
    verifyTypedData: (args) => chain.verifyTypedData(args),
    writeContract: (args) => chain.writeContract({ ...args, args: args.args ?? [] }),
    sendTransaction: (args) => chain.sendTransaction(args),
    waitForTransactionReceipt: (args) => chain.waitForTransactionReceipt({ ...args, pollingInterval: 50 }),
    getCode: (args) => chain.getCode(args),
  });
  const facilitator = new x402Facilitator();
  registerExactEvmScheme(facilitator, { signer, networks: NETWORK });
  let last = Promise.resolve();
  const answer = async (request) => {
    const url = new URL(request.url, "http://a");
    switch (url.pathname) {
      case "/terms":
        return { network: NETWORK, asset: token.address, payer: PAYER, key: KEYS[1], payTo: PAY_TO };
      case "/balance": {
        const args = [url.searchParams.get("of")];
        return { balance: String(await chain.readContract({ ...token, functionName: "balanceOf", args })) };
      }
      case "/verify": {
        const { paymentPayload, paymentRequirements } = await body(request);
        return facilitator.verify(paymentPayload, paymentRequirements);
      }
      case "/settle": {
        const { paymentPayload, paymentRequirements } = await body(request);
        // One behind the other: two transactions of one account at once would get one number.
        const settled = last.then(() => facilitator.settle(paymentPayload, paymentRequirements));
        last = settled.catch(() => {});
        return settled;
      }
      case "/supported":
        return facilitator.getSupported();
      default:
        return {};
    }
  };
  createServer((request, response) => {
    const send = (status, document) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(document));
    };
    answer(request).then(
      (document) => send(200, document),
      (error) => send(500, { error: String(error) }),
    );
  }).listen(port, "127.0.0.1");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
