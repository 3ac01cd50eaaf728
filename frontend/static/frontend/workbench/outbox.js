// What has been said and is not known to be stored yet: in IndexedDB, so that it survives a reload or a crash.
// Entries leave in the order in which they came.

const NAME = "margin";
const STORE = "outbox";

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
  return done(request);
}

class Kept {
  durable = true;

  constructor(db) {
    this.db = db;
  }

  #store(mode) {
    return this.db.transaction(STORE, mode, { durability: "strict" }).objectStore(STORE);
  }

  async add(entry) {
    const store = this.#store("readwrite");
    const id = await done(store.add(entry));
    // Only a finished transaction is on the disk.
    await new Promise((resolve, reject) => {
      store.transaction.oncomplete = resolve;
      store.transaction.onabort = () => reject(store.transaction.error);
    });
    return id;
  }

  list() {
    return done(this.#store("readonly").getAll());
  }

  remove(id) {
    return done(this.#store("readwrite").delete(id));
  }
}

// Where a browser keeps nothing, the page itself holds the entries; `durable` tells the page to say so.
class Held {
  durable = false;
  #entries = new Map();
  #last = 0;

  async add(entry) {
    this.#entries.set(++this.#last, { ...entry, id: this.#last });
    return this.#last;
  }

  async list() {
    return [...this.#entries.values()];
  }

  async remove(id) {
    this.#entries.delete(id);
  }
}

// The outbox of one person; others who used this browser have theirs.
export async function openOutbox(owner) {
  const box = await open().then((db) => new Kept(db), () => new Held());
  return {
    durable: box.durable,
    add: (entry) => box.add({ ...entry, owner }),
    list: async () => (await box.list()).filter((entry) => entry.owner === owner),
    remove: (id) => box.remove(id),
  };
}
