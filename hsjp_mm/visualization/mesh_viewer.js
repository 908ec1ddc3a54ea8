// Draws the triangles of a canvas's data from far to near; the pointer turns them.
const canvas = document.getElementById('body');
const bytes = (key) => Uint8Array.from(atob(canvas.dataset[key]), (c) => c.charCodeAt(0)).buffer;
const vertices = new Float32Array(bytes('vertices'));
const faces = new Uint32Array(bytes('faces'));
const radius = Math.sqrt(vertices.reduce((most, _, i) => i % 3 ? most : Math.max(
  most, vertices[i] ** 2 + vertices[i + 1] ** 2 + vertices[i + 2] ** 2), 0));
const light = [-0.45, 0.6, 0.66];
let yaw = 0.5, pitch = 0.1, zoom = 1;

function draw() {
  const side = canvas.clientWidth * devicePixelRatio;
  canvas.width = canvas.height = side;
  const context = canvas.getContext('2d');
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const turned = new Float32Array(vertices.length);
  for (let i = 0; i < vertices.length; i += 3) {
    const [x, y, z] = vertices.subarray(i, i + 3);
    const depth = cy * z - sy * x;
    turned[i] = cy * x + sy * z;
    turned[i + 1] = cp * y - sp * depth;
    turned[i + 2] = sp * y + cp * depth;
  }
  const scale = 0.47 * side * zoom / radius;
  const shown = [];
  for (let i = 0; i < faces.length; i += 3) {
    const [a, b, c] = [0, 1, 2].map((k) => turned.subarray(3 * faces[i + k], 3 * faces[i + k] + 3));
    const u = [b[0] - a[0], b[1] - a[1], b[2] - a[2]], v = [c[0] - a[0], c[1] - a[1], c[2] - a[2]];
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    if (n[2] <= 0) continue;  // seen from inside
    const bright = (n[0] * light[0] + n[1] * light[1] + n[2] * light[2]) / Math.hypot(...n);
    shown.push([a[2] + b[2] + c[2], [a, b, c], 0.62 + 0.42 * Math.max(bright, -0.4)]);
  }
  shown.sort((one, other) => one[0] - other[0]);
  for (const [, corners, bright] of shown) {
    context.beginPath();
    for (const [x, y] of corners) context.lineTo(side / 2 + scale * x, side / 2 - scale * y);
    context.closePath();
    context.fillStyle = context.strokeStyle =
      `rgb(${120 * bright} ${170 * bright} ${235 * bright})`;
    context.fill();
    context.stroke();
  }
}

canvas.addEventListener('pointerdown', (event) => canvas.setPointerCapture(event.pointerId));
canvas.addEventListener('pointermove', (event) => {
  if (!event.buttons) return;
  yaw += event.movementX / 150;
  pitch = Math.max(-1.5, Math.min(1.5, pitch + event.movementY / 150));
  draw();
});
canvas.addEventListener('wheel', (event) => {
  event.preventDefault();
  zoom *= Math.exp(-event.deltaY / 500);
  draw();
}, {passive: false});
addEventListener('resize', draw);
draw();
