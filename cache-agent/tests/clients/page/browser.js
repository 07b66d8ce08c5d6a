// A browser that talks to one listener and to nobody else, and notes whatever goes wrong.

const { chromium } = require('playwright-core');

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Opens a browser with an empty profile of its own; `CHROMIUM` names another than Debian's. */
async function open(options = {}) {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.setDefaultTimeout(30_000);
  return { browser, page };
}

/** A list that fills with what a page under this address must not do. */
function wrongs(page, url) {
  const wrong = [];
  page.on('console', said => said.type() === 'error' && wrong.push(`console: ${said.text()}`));
  page.on('pageerror', error => wrong.push(`script: ${error.message}`));
  page.on('requestfailed', asked => wrong.push(`failed: ${asked.url()} ${asked.failure()?.errorText}`));
  page.on('request', asked => asked.url().startsWith(url) || wrong.push(`foreign: ${asked.url()}`));
  page.on('response', got => got.status() >= 400 && wrong.push(`refused: ${got.url()} ${got.status()}`));
  return wrong;
}

module.exports = { open, wrongs };
