// Writes what a page shows after so many seconds: node screenshot.js URL FILE SCHEME SECONDS

const { open } = require('./browser.js');

async function main([url, path, colorScheme, seconds]) {
  const { browser, page } = await open({ colorScheme, viewport: { width: 1210, height: 1180 } });
  try {
    await page.goto(url);
    await page.waitForTimeout(1000 * seconds);
    await page.screenshot({ path });
  } finally {
    await browser.close();
  }
}

main(process.argv.slice(2)).catch(error => {
  console.error(error);
  process.exit(1);
});
