// Reads content credentials with c2pa-ts, which shares no code with the library that signed them.
// usage: node provenance_second.mjs FOLDER FILE…   FOLDER holds node_modules/@trustnxt/c2pa-ts
// Prints one JSON object a file: {"file", "valid", "failures": [C2PA's codes]}.
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, ...files] = process.argv.slice(2);
const library = (part) =>
  import(pathToFileURL(path.join(folder, 'node_modules/@trustnxt/c2pa-ts/dist', part, 'index.js')).href);
const [{ BMFF, JPEG, PNG }, { SuperBox }, { ManifestStore, ValidationResult }] = await Promise.all(
  ['asset', 'jumbf', 'manifest'].map(library));
// it names still pictures' brands only, but hashes boxes alike in any of this family of files
for (const brand of ['isom', 'qt  ', 'mp42']) BMFF.canReadBrands.add(brand);
// it takes a path that fits several boxes for one that fits none; our XMP is a second /uuid, and the hash leaves out the
// manifest's alone (the data that the assertion asks for says which)
class Movie extends BMFF {
  getBoxByPath(path) {
    return path === '/uuid' ? this.getManifestStoreBox() : super.getBoxByPath(path);
  }
}

// it knows no TIFF: where one keeps its manifest, by the C2PA specification, is tag 52545 of the first directory
class TIFF {
  mimeType = 'image/tiff';
  constructor(data) {
    this.data = data;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const little = data[0] === 0x49;
    const at = view.getUint32(4, little);
    for (let n = 0; n < view.getUint16(at, little); n++) {
      const entry = at + 2 + 12 * n;
      if (view.getUint16(entry, little) !== 52545) continue;
      const length = view.getUint32(entry + 4, little);
      this.place = { start: view.getUint32(entry + 8, little), length };
    }
  }
  static canRead(data) { return ['II*\0', 'MM\0*'].includes(String.fromCharCode(...data.subarray(0, 4))); }
  getDataLength() { return this.data.length; }
  async getDataRange(start = 0, length = this.data.length) { return this.data.subarray(start, start + length); }
  getManifestJUMBF() {
    return this.place && this.data.subarray(this.place.start, this.place.start + this.place.length);
  }
  getHashExclusionRange() { return this.place; }
}

for (const file of files) {
  const data = await fs.readFile(file);
  let result;
  try {
    const Kind = [JPEG, PNG, TIFF, Movie].find((kind) => kind.canRead(data));
    const asset = new Kind(data);
    result = await ManifestStore.read(SuperBox.fromBuffer(asset.getManifestJUMBF())).validate(asset);
  } catch (error) {
    result = ValidationResult.fromError(error);
    result.statusEntries.forEach((entry) => { entry.explanation ??= String(error); });
  }
  const failures = result.statusEntries.filter((entry) => !entry.success)
    .map((entry) => entry.code + (entry.explanation ? ` (${entry.explanation})` : ''));
  console.log(JSON.stringify({ file, valid: result.isValid, failures, checked: result.statusEntries.length }));
}
