// node draw.mjs SIZE FILE: one JSON object of avataaars options a line in FILE, SIZE x SIZE RGBA pixels each to stdout.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import { avataaars } from '@dicebear/collection';
import { createAvatar } from '@dicebear/core';
import { Resvg } from '@resvg/resvg-js';

const [size, file] = process.argv.slice(2);
const rendering = { fitTo: { mode: 'width', value: Number(size) }, font: { loadSystemFonts: false } };

for await (const line of createInterface({ input: createReadStream(file) })) {
  const svg = createAvatar(avataaars, JSON.parse(line)).toString();
  if (!process.stdout.write(new Resvg(svg, rendering).render().pixels)) await once(process.stdout, 'drain');
}
