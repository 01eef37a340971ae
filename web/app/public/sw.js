/**
 * Makes the page work offline: what it is made of is kept as it is fetched. Files whose names carry a hash never change
 * and come from the cache; everything else is asked for first. Weights are not touched here: the engine keeps them.
 */
const CACHE = 'flagdit-page-1';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

// What the page fetched before this worker was there; the page sends the list.
self.addEventListener('message', (event) => {
  const all = async () => {
    const cache = await caches.open(CACHE);
    await Promise.all(event.data.map(async (url) => (await cache.match(url)) ?? keep(cache, new Request(url), event)));
  };
  event.waitUntil(all());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const path = request.url.startsWith(registration.scope) && request.url.slice(registration.scope.length);
  if (request.method !== 'GET' || path === false || path.startsWith('weights/')) return;
  event.respondWith(path.startsWith('assets/') ? cacheFirst(event) : networkFirst(event));
});

async function cacheFirst(event) {
  const cache = await caches.open(CACHE);
  return (await cache.match(event.request)) ?? keep(cache, event.request, event);
}

async function networkFirst(event) {
  const { request } = event;
  const cache = await caches.open(CACHE);
  try {
    if (request.mode === 'navigate') return await renew(cache, event);
    return await keep(cache, request, event);
  } catch (error) {
    const seen = (await cache.match(request)) ?? (await cache.match(request, { ignoreSearch: true }));
    if (seen) return seen;
    throw error;
  }
}

/** The page itself. If it is another than before, what the old one was made of goes. */
async function renew(cache, event) {
  const before = await cache.match(event.request, { ignoreSearch: true });
  const response = await keep(cache, event.request, event);
  const tidy = async () => {
    if (!before || (await before.text()) === (await response.clone().text())) return;
    const old = (await cache.keys()).filter(({ url }) => url.slice(registration.scope.length).startsWith('assets/'));
    await Promise.all(old.map((request) => cache.delete(request)));
  };
  if (response.ok) await tidy();
  return response;
}

/** Storing must not hold back the answer, and may fail: then the page needs the network the next time. */
async function keep(cache, request, event) {
  const response = await fetch(request);
  if (response.ok) event.waitUntil(cache.put(request, response.clone()).catch(() => {}));
  return response;
}
