// Hands pictures to the app: dropped, chosen, pasted, or taken with the camera.
const find = (selector) => element.querySelector(selector);
const say = (text) => { find(".hz-said").textContent = text; };
const state = (name) => find(".hz-box").setAttribute("data-state", name);
const several = Boolean(props.several);
let turn = 0;

async function take(files) {
  const chosen = [...files].slice(0, several ? undefined : 1);
  if (!chosen.length) return;
  const own = ++turn;
  const done = [];
  state("busy");
  for (const [number, file] of chosen.entries()) {
    if (own !== turn) return; // others were chosen meanwhile
    say(several ? `Uploading ${number + 1} of ${chosen.length}: ${file.name}` : `Uploading ${file.name}`);
    if (file.size > props.limit) {
      if (several) continue;
      state("empty");
      return say(`${file.name} is larger than ${Math.round(props.limit / 1048576)} MiB: scale it down first.`);
    }
    try {
      const { path } = await upload(file);
      done.push({ path, orig_name: file.name, meta: { _type: "gradio.FileData" } });
    } catch (error) {
      if (several) continue;
      state("empty");
      return say(`${file.name} could not be uploaded. Check the connection and try again.`);
    }
  }
  if (own !== turn) return;
  const lost = chosen.length - done.length;
  state(done.length ? "filled" : "empty");
  say(several ? `${done.length} uploaded${lost ? `, ${lost} refused` : ""}` : "");
  if (!done.length) return;
  props.value = several ? done : done[0];
  trigger("upload");
}

async function paste() {
  try {
    const files = [];
    for (const item of await navigator.clipboard.read()) {
      const kind = item.types.find((type) => type.startsWith("image/"));
      if (kind) files.push(new File([await item.getType(kind)], `pasted.${kind.split("/")[1]}`, { type: kind }));
    }
    if (files.length) return take(files);
    say("There is no picture on the clipboard.");
  } catch (error) {
    say("The browser does not let this page look at the clipboard: press Ctrl+V or ⌘V instead.");
  }
}

let stream = null;
async function openCamera() {
  if (window.matchMedia("(pointer: coarse)").matches) return find(".hz-snap").click(); // a phone's own
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1920, height: 1080 } });
  } catch (error) {
    return say("There is no camera here, or this page may not use it.");
  }
  find("video").srcObject = stream;
  find(".hz-camera").showModal();
}
function closeCamera() {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null;
  if (find(".hz-camera").open) find(".hz-camera").close();
}
function shoot() {
  const video = find("video");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => {
    closeCamera();
    if (blob) take([new File([blob], "camera.jpg", { type: "image/jpeg" })]);
  }, "image/jpeg", 0.92);
}

const actions = { choose: () => find(".hz-file").click(), camera: openCamera, paste, shoot, close: closeCamera };
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do]();
});
for (const selector of [".hz-file", ".hz-snap"]) {
  find(selector).addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  });
}
find(".hz-camera").addEventListener("close", closeCamera);

for (const kind of ["dragenter", "dragover"]) {
  element.addEventListener(kind, (event) => { event.preventDefault(); find(".hz-box").classList.add("hz-over"); });
}
for (const kind of ["dragleave", "drop"]) {
  element.addEventListener(kind, (event) => { event.preventDefault(); find(".hz-box").classList.remove("hz-over"); });
}
element.addEventListener("drop", (event) => take(event.dataTransfer.files));
document.addEventListener("paste", (event) => {
  const files = event.clipboardData ? event.clipboardData.files : [];
  if (element.offsetParent !== null && files.length) { event.preventDefault(); take(files); }
});
find(".hz-box").setAttribute("data-ready", "");
