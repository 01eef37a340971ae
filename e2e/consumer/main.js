import { load } from 'flagdit';

const prompt = 'a large red star on a blue background';
const model = await load('./weights/toybox/');
for await (const event of model.generate({ prompt, seed: 7 })) {
  if (event.type !== 'done') continue;
  const reader = new FileReader();
  reader.readAsDataURL(await event.output.toBlob('image/png'));
  await new Promise((resolve) => (reader.onload = resolve));
  document.body.append(Object.assign(new Image(), { src: reader.result, alt: prompt }));
}
