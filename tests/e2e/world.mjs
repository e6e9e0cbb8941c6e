// What the server manages in the suite: a git repository with several applications, and the docker command.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export const HOSTILE = `<img src=x onerror="window.__xss=1"><script>window.__xss=1</script>`;

const run = (command, args) => execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 }).trim();
export const docker = (...args) => run("docker", args);

const service = (lines) => lines.map((l) => `    ${l}`).join("\n");
const httpd = (name, page, more = []) => `  ${name}:\n${service([
  "image: busybox:local",
  `command: ["sh", "-c", "mkdir -p /www && echo '${page}' > /www/index.html && exec httpd -f -p 8080 -h /www"]`,
  "init: true",
  "stop_grace_period: 1s",
  "healthcheck:",
  `  test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]`,
  "  interval: 1s",
  "  timeout: 2s",
  "  retries: 10",
  ...more,
])}`;

const CHATTER = `i=0; while :; do i=$$((i+1)); n=$$((i % 9));
        printf '\\033[32mINFO\\033[0m  order %d accepted, %d items, %d ms\\n' $$i $$n $$((i * 37 % 240));
        [ $$n = 4 ] && printf '\\033[33mWARN\\033[0m  payment provider slow, retry 1 of 3\\n';
        [ $$n = 7 ] && printf '\\033[31mERROR\\033[0m timed out after 2000 ms, order %d queued again\\n' $$i >&2;
        [ $$n = 8 ] && echo '{"level":"info","msg":"batch written","orders":8,"store":"data"}';
        sleep 0.2; done`;

const SHOP = (version) => `# The shop: page, interface, worker, store.
name: shop

services:
${httpd("web", `shop ${version}`, ["networks: [front, back]", "depends_on:", "  api:", "    condition: service_healthy", "environment:", `  RELEASE: ${version}`])}

${httpd("api", "api", ["networks: [back]", "depends_on:", "  store:", "    condition: service_healthy"])}

${httpd("store", "open", ["networks: [back]", "volumes:", "  - data:/data"])}

  worker:
    image: busybox:local
    command:
      - sh
      - -c
      - |
        ${CHATTER}
    networks: [back]
    labels:
      team.note: '${HOSTILE}'
    init: true
    stop_grace_period: 1s

networks:
  front:
  back:

volumes:
  data:
`;

const LOUD = `name: hostile

services:
  loud:
    image: busybox:local
    init: true
    stop_grace_period: 1s
    command:
      - sh
      - -c
      - |
        i=0; while :; do i=$$((i+1));
        printf '%s\\n' '${HOSTILE.replace(/'/g, "")}';
        printf '\\033]8;;javascript:alert(1)\\033\\\\press me\\033]8;;\\033\\\\ \\033]52;c;ZXZpbA==\\007 clipboard\\n';
        sleep 0.5; done
    labels:
      note: '${HOSTILE}'
`;

const simple = (name, services) => `name: ${name}\n\nservices:\n${services.map((s) => httpd(s, `${name} ${s}`)).join("\n\n")}\n`;

export const FILES = {
  shop: (version = "1.4.0") => ({ "shop/compose.yaml": SHOP(version) }),
  broken: () => ({ "shop/compose.yaml": SHOP("1.5.0").replace("    networks: [front, back]\n", "    networks: [front, back]\n    ports:\n      - \"99999:http\"\n") }),
};

/** A bare repository with a working copy. */
export class Repository {
  constructor(folder) {
    this.bare = `${folder}/shop.git`;
    this.work = `${folder}/work`;
    run("git", ["init", "-q", "--bare", "-b", "main", this.bare]);
    run("git", ["init", "-q", "-b", "main", this.work]);
  }

  git(...args) {
    return run("git", ["-C", this.work, "-c", "user.name=Ada Meyer", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false", ...args]);
  }

  /** Commits and pushes; gives the commit. */
  push(message, files) {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(`${this.work}/${path}`), { recursive: true });
      writeFileSync(`${this.work}/${path}`, text);
    }
    this.git("add", "-A");
    this.git("commit", "-q", "-m", message);
    this.git("push", "-q", this.bare, "HEAD:main");
    return this.git("rev-parse", "HEAD");
  }
}

export class World {
  /** Organization, project, repository; no application yet. */
  static async make(server) {
    const w = new World();
    w.clean(); // a killed run leaves its containers
    w.server = server;
    w.git = new Repository(server.folder);
    w.head = w.git.push("Shop: page, interface, worker and store", {
      ...FILES.shop(),
      "blog/compose.yaml": simple("blog", ["site", "editor"]),
      "status/compose.yaml": simple("status", ["page"]),
      "hostile/compose.yaml": LOUD,
    });
    const organization = await server.call("POST", "/organizations", { name: "acme", displayName: "Acme" });
    w.project = await server.call("POST", "/projects", { name: "shop", displayName: "Shop", organizationId: organization.id });
    w.repository = await server.call("POST", "/repositories", { name: "shop", url: `file://${w.git.bare}`, branch: "main", auth: { type: "none" }, projectId: w.project.id, pollSeconds: 300 });
    w.secret = (await server.call("POST", `/repositories/${w.repository.id}/webhook-secret`)).secret;
    w.repository = await server.call("GET", `/repositories/${w.repository.id}`);
    return w;
  }

  application(name, automated, more = {}) {
    return this.server.call("POST", "/applications", {
      name,
      projectId: this.project.id,
      repositoryId: this.repository.id,
      branch: "main",
      path: name,
      environment: { name: "production", variables: {} },
      syncPolicy: { automated, prune: true, selfHeal: automated },
      ...more,
    });
  }

  /** A push as the forge reports it. */
  async push(message, files) {
    this.head = this.git.push(message, files);
    await this.server.hook(this.repository, this.secret, this.head);
    return this.head;
  }

  /** Containers of an application by compose service. */
  containers(application) {
    const rows = docker("ps", "-a", "--no-trunc", "--filter", `label=com.docker.compose.project=${application}`, "--format", `{{.ID}} {{.Label "com.docker.compose.service"}} {{.State}}`);
    return rows.split("\n").filter(Boolean).map((r) => r.split(" ")).map(([id, service, state]) => ({ id, service, state }));
  }

  /** Removes what the applications left on the engine. */
  clean(names = ["shop", "blog", "status", "hostile", "notes"]) {
    for (const name of names) {
      const of = ["--filter", `label=com.docker.compose.project=${name}`];
      const ids = docker("ps", "-aq", ...of).split("\n").filter(Boolean);
      if (ids.length) docker("rm", "-f", ...ids);
      const networks = docker("network", "ls", "-q", ...of).split("\n").filter(Boolean);
      if (networks.length) docker("network", "rm", ...networks);
      const volumes = docker("volume", "ls", "-q", ...of).split("\n").filter(Boolean);
      if (volumes.length) docker("volume", "rm", ...volumes);
    }
  }
}
