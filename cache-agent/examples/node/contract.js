// The agent's contract, and how a channel to it is set up.

const path = require('node:path');
const { loadPackageDefinition } = require('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader');

const PROTO = path.join(__dirname, '../../proto');

const files = ['stream', 'invalidation'].map((name) => `cacheaside/v1/${name}.proto`);
const how = { includeDirs: [PROTO], longs: Number, enums: String, defaults: true, oneofs: true };

exports.v1 = loadPackageDefinition(loadSync(files, how)).cacheaside.v1;
exports.OPTIONS = {
  'grpc.max_receive_message_length': 16 << 20,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
};
