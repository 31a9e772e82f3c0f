'use strict';
// Topics, partitions and offsets in a SQLite database.
//
//     const prill = require('prill');
//     const db = prill.load(new (require('better-sqlite3'))('app.db'));
//
// What SQL can then do is described in prill's doc/sql.md.
const path = require('path');

// The loadable extension in this package, for any other way to load it.
exports.path = path.join(__dirname, 'prill.so');

// Load prill into a database of better-sqlite3, or any with loadExtension(),
// and return the database.
exports.load = function load(db) {
  db.loadExtension(exports.path);
  return db;
};
