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
    await Promise.all(event.data.map(async (url) => (await cache.match(url)) ?? keep(cache, new Request(url))));
  };
  event.waitUntil(all());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const isOurs = request.method === 'GET' && url.origin === location.origin && url.href.startsWith(registration.scope);
  if (!isOurs || url.pathname.includes('/weights/')) return;
  event.respondWith(url.pathname.includes('/assets/') ? cacheFirst(request) : networkFirst(request));
});

async function cacheFirst(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request)) ?? keep(cache, request);
}

async function networkFirst(request) {
  const cache = await caches.open(CACHE);
  try {
    return await keep(cache, request);
  } catch (error) {
    const seen = await cache.match(request, { ignoreSearch: true });
    if (seen) return seen;
    throw error;
  }
}

async function keep(cache, request) {
  const response = await fetch(request);
  if (response.ok) await cache.put(request, response.clone());
  return response;
}
