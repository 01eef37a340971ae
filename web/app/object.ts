/** A binary glTF file in three dimensions, to look at from all sides. Drawn when something changed, not all the time. */
import {
  Color, DirectionalLight, HemisphereLight, Mesh, OrthographicCamera, Scene, Spherical, WebGLRenderer, type Material, type Object3D,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';

import { isMotionReduced } from './motion.js';

/** What the first view shows: half of its width in units of the object, and the camera's height over the horizon. */
const HALF_EXTENT = 1.3;
const ELEVATION = Math.PI / 6;
const DISTANCE = 6;
const [MIN_ZOOM, MAX_ZOOM] = [0.5, 8];
/** How far a key moves the viewer around the object, in radians, and how much it zooms. */
const KEY_TURN = Math.PI / 16;
const KEY_ZOOM = 1.15;

/** Shows the object on the canvas; what is returned lets go of everything. */
export async function showObject(canvas: HTMLCanvasElement, file: ArrayBuffer): Promise<() => void> {
  const { scene: object } = await new GLTFLoader().parseAsync(file, '');
  const renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
  const camera = new OrthographicCamera(-HALF_EXTENT, HALF_EXTENT, HALF_EXTENT, -HALF_EXTENT, 0.1, 2 * DISTANCE);
  camera.position.setFromSphericalCoords(DISTANCE, Math.PI / 2 - ELEVATION, 0);
  const scene = lit(object, camera);
  const controls = new OrbitControls(camera, canvas);
  controls.enablePan = false;
  [controls.minZoom, controls.maxZoom] = [MIN_ZOOM, MAX_ZOOM];

  let request = 0;
  const redraw = () => (request ||= requestAnimationFrame(draw));
  const draw = () => {
    request = 0;
    controls.enableDamping = !isMotionReduced();
    controls.update(); // Says `change` as long as it coasts.
    renderer.render(scene, camera);
  };
  controls.addEventListener('change', redraw);
  canvas.addEventListener('keydown', (event) => {
    if (!steer(event, camera)) return;
    event.preventDefault();
    controls.update();
    redraw();
  });
  const sized = new ResizeObserver(() => {
    const side = canvas.clientWidth;
    renderer.setPixelRatio(devicePixelRatio);
    renderer.setSize(side, side, false);
    redraw();
  });
  sized.observe(canvas);
  return () => {
    cancelAnimationFrame(request);
    sized.disconnect();
    controls.dispose();
    object.traverse(discard);
    renderer.dispose();
    renderer.forceContextLoss();
  };
}

/** The object's colours hold the light of its views already; a little light from the viewer's side tells its forms. */
function lit(object: Object3D, camera: OrthographicCamera): Scene {
  const scene = new Scene();
  const lamp = new DirectionalLight(new Color('white'), 0.9);
  lamp.position.set(-1, 1.5, 1);
  camera.add(lamp);
  scene.add(object, camera, new HemisphereLight('white', '#b8b8c4', 2.4));
  return scene;
}

/** Turns and zooms with the keyboard; whether the key was one of those. */
function steer({ key, ctrlKey, metaKey, altKey }: KeyboardEvent, camera: OrthographicCamera): boolean {
  const turns: Record<string, [number, number]> = {
    ArrowLeft: [-KEY_TURN, 0],
    ArrowRight: [KEY_TURN, 0],
    ArrowUp: [0, -KEY_TURN],
    ArrowDown: [0, KEY_TURN],
  };
  const zooms: Record<string, number> = { '+': KEY_ZOOM, '=': KEY_ZOOM, '-': 1 / KEY_ZOOM };
  const [turn, zoom] = [turns[key], zooms[key]];
  if (ctrlKey || metaKey || altKey || !(turn || zoom)) return false;
  if (turn) {
    const place = new Spherical().setFromVector3(camera.position);
    place.theta += turn[0];
    place.phi += turn[1];
    camera.position.setFromSpherical(place.makeSafe());
  }
  if (zoom) {
    camera.zoom = Math.min(Math.max(camera.zoom * zoom, MIN_ZOOM), MAX_ZOOM);
    camera.updateProjectionMatrix();
  }
  return true;
}

function discard(part: Object3D): void {
  if (!(part instanceof Mesh)) return;
  part.geometry.dispose();
  for (const material of [part.material].flat() as Material[]) material.dispose();
}
