// Node's own https and http modules: the small body from memory, and a proxy that keeps its connections.
"use strict";

const fs = require("fs");
const http = require("http");
const https = require("https");

const [port, backend, certificate, key, small] = process.argv.slice(2);
const body = fs.readFileSync(small);
const agent = new http.Agent({ keepAlive: true });

const server = https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (request, response) => {
  if (!request.headers.host.startsWith("proxy.")) {
    response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": body.length });
    response.end(body);
    return;
  }
  const { method, url: path, headers } = request;
  const asked = http.request({ agent, host: "127.0.0.1", port: backend, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  asked.on("error", () => response.destroy());
  request.pipe(asked);
});
server.keepAliveTimeout = 600000;
server.maxRequestsPerSocket = 0;
server.listen(Number(port), "127.0.0.1");
