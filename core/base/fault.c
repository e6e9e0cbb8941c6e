#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/base/fault.h"
#include "core/base/str.h"

static struct {
    bool loaded;
    char name[96];
    const char *action;
    int64_t nth, hits;
} armed;

static void load(void) {
    armed.loaded = true;
    const char *spec = getenv("DOCKFLOW_FAULT");
    if (spec == NULL || strlen(spec) >= sizeof(armed.name))
        return;
    struct str s = str_of(spec);
    ptrdiff_t eq = str_find_chr(s, '=');
    armed.action = eq >= 0 ? spec + eq + 1 : "kill";
    struct str left = eq >= 0 ? str_slice(s, 0, (size_t)eq) : s;
    ptrdiff_t colon = str_find_chr(left, ':');
    armed.nth = 1;
    if (colon >= 0)
        err_ignore(str_to_i64(str_slice(left, (size_t)colon + 1, left.n), 1, 1000000, &armed.nth));
    struct str name = colon >= 0 ? str_slice(left, 0, (size_t)colon) : left;
    memcpy(armed.name, name.p, name.n);
    armed.name[name.n] = '\0';
}

bool fault_hit(const char *name) {
    if (!armed.loaded)
        load();
    if (armed.name[0] == '\0' || !glob_match(str_of(armed.name), str_of(name)) || ++armed.hits != armed.nth)
        return false;
    if (z_eq(armed.action, "error"))
        return true;
    (void)kill(getpid(), z_eq(armed.action, "stop") ? SIGSTOP : SIGKILL);
    return false;
}
