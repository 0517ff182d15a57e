// A place to drop files and folders on, with buttons for the keyboard; each file is sent by itself, with its place in the folder as its name.
export default {
  template: `
    <div class="medseg-drop" :class="{ over }" role="group" :aria-label="label"
         @dragover.prevent="over = true" @dragleave="over = false" @drop.prevent="drop">
      <slot></slot>
      <input ref="files" type="file" multiple hidden @change="choose($refs.files)" />
      <input ref="folder" type="file" webkitdirectory hidden @change="choose($refs.folder)" />
    </div>`,
  props: { url: String, label: String, most: Number }, // most: bytes of one file
  data: () => ({ over: false }),
  methods: {
    pickFiles() { this.$refs.files.click(); },
    pickFolder() { this.$refs.folder.click(); },
    choose(input) {
      const files = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
      input.value = "";
      this.send(files);
    },
    async drop(event) {
      this.over = false;
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
      const found = [];
      for (const entry of entries) await this.walk(entry, "", found);
      this.send(found.length ? found : [...event.dataTransfer.files].map((file) => ({ file, name: file.name })));
    },
    async walk(entry, folder, found) {
      if (entry.isFile) {
        const file = await new Promise((done, failed) => entry.file(done, failed));
        found.push({ file, name: folder + entry.name });
        return;
      }
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((done, failed) => reader.readEntries(done, failed));
        if (!some.length) return;
        for (const child of some) await this.walk(child, `${folder}${entry.name}/`, found);
      }
    },
    async send(files) {
      if (!files.length) return;
      const refused = [];
      let stored = 0;
      for (const [number, { file, name }] of files.entries()) {
        this.$emit("sending", { done: number, count: files.length });
        if (file.size > this.most) { // the server refuses it too, but only after the browser has begun to send
          refused.push(`${name}: larger than ${this.most / 1e9} GB`);
          continue;
        }
        try {
          const headers = { "X-File-Name": encodeURIComponent(name), "Content-Type": "application/octet-stream" };
          const answer = await fetch(this.url, { method: "POST", body: file, headers });
          if (answer.ok) stored += 1;
          else refused.push(answer.status === 422 ? (await answer.json()).detail : `${name}: ${await answer.text()}`);
        } catch (error) {
          refused.push(`${name}: ${error.message}`);
        }
      }
      this.$emit("sent", { stored, refused });
    },
  },
};
