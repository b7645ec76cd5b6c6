#include "app/shipped.h"

#include "app/load.h"
#include "app/manifest.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The folder of that name ("heads", "profiles"); empty: there is none. */
static void find_folder(wh_buf *out, const char *name)
{
    static const char *const beside[] = {"/../share/whet", "/../../models"};
    const char *named = getenv("WHET_SHARE");
    if (named) {
        wh_buf_printf(out, "%s/%s", named, name);
        return;
    }
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        wh_buf_clear(out);
        wh_buf_printf(out, "%s%s/%s", self, beside[i], name);
        if (is_folder(wh_buf_str(out))) return;
    }
    wh_buf_clear(out);
}

static bool text_is(const wh_gguf *g, const char *key, const char *text)
{
    wh_gguf_str s;
    return wh_gguf_get_str(g, key, &s, NULL) == WH_OK && s.len == strlen(text) && memcmp(s.s, text, s.len) == 0;
}

/* A model file, and what it is known by once somebody asked. */
typedef struct known {
    const char *path;
    char        sha256[65]; /* "": not asked yet */
} known;

static wh_code names(bool *yes, const wh_gguf *g, const char *key, known *k, wh_err *err)
{
    if (!k->sha256[0]) WH_TRY(wh_load_identity(k->sha256, k->path, err));
    *yes = text_is(g, key, k->sha256);
    return WH_OK;
}

/* Could this be the head's trunk, by the size of its file? One that was packed has another size. */
static wh_code may_be_trunk(bool *yes, const wh_gguf *g, const char *path, wh_err *err)
{
    uint64_t bytes;
    wh_gguf *model;
    WH_TRY(wh_gguf_open(&model, path, err));
    *yes = wh_load_is_packed(model) || wh_gguf_get_u64(g, "whet.head.trunk_bytes", &bytes, NULL) != WH_OK || wh_gguf_file_bytes(model) == bytes;
    wh_gguf_close(model);
    return WH_OK;
}

static wh_code matches(bool *yes, const wh_gguf *g, const char *kind, known *policy, known *trunk, wh_err *err)
{
    *yes = false;
    if (!text_is(g, "whet.head.kind", kind)) return WH_OK;
    WH_TRY(may_be_trunk(yes, g, trunk->path, err));
    if (*yes) WH_TRY(names(yes, g, "whet.head.trunk_sha256", trunk, err));
    if (*yes) WH_TRY(names(yes, g, "whet.head.policy_sha256", policy, err));
    return WH_OK;
}

/* What somebody looks for. */
typedef struct wanted {
    const char *ending; /* of the names of such files */
    wh_code   (*suits)(bool *yes, struct wanted *w, const char *path, wh_err *err);
    const char *kind;         /* of a head */
    known       policy, trunk; /* a head's trunk; the PRM of a profile */
    known       head;         /* of a profile */
    bool        scored, fast;
} wanted;

static wh_code head_suits(bool *yes, wanted *w, const char *path, wh_err *err)
{
    wh_gguf *g;
    WH_TRY(wh_gguf_open(&g, path, err));
    wh_code code = matches(yes, g, w->kind, &w->policy, w->trunk.path ? &w->trunk : &w->policy, err);
    wh_gguf_close(g);
    return code;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool ends(const char *name, const char *ending)
{
    size_t n = strlen(name), e = strlen(ending);
    return n > e && strcmp(name + n - e, ending) == 0;
}

static wh_code try_file(wh_buf *out, const char *folder, const char *name, wanted *w, wh_err *err)
{
    wh_buf path = {0};
    bool yes = false;
    wh_buf_printf(&path, "%s/%s", folder, name);
    wh_code code = wh_buf_ok(&path) ? w->suits(&yes, w, wh_buf_str(&path), err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    if (code == WH_OK && yes) wh_buf_puts(out, wh_buf_str(&path));
    wh_buf_free(&path);
    return code;
}

/* Names in order, so that the choice among several does not depend on the file system. */
static wh_code look_through(wh_buf *out, const char *folder, wanted *w, wh_err *err)
{
    DIR *d = opendir(folder);
    if (!d) return WH_OK;
    char **list = NULL;
    size_t n = 0;
    wh_code code = WH_OK;
    for (struct dirent *e; code == WH_OK && (e = readdir(d)) != NULL;) {
        if (!ends(e->d_name, w->ending)) continue;
        char **more = wh_mem_resize(list, n + 1, sizeof *more);
        if (more) list = more;
        if (!more || !(list[n] = wh_mem_strndup(e->d_name, strlen(e->d_name)))) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for names");
        else n++;
    }
    closedir(d);
    if (n) qsort(list, n, sizeof *list, by_name);
    for (size_t i = 0; code == WH_OK && i < n && !out->len; i++) code = try_file(out, folder, list[i], w, err);
    for (size_t i = 0; i < n; i++) free(list[i]);
    free(list);
    return code;
}

/* Append the first file of the folder that suits. */
static wh_code find(wh_buf *out, const char *folder_name, wanted *w, wh_err *err)
{
    wh_buf folder = {0};
    find_folder(&folder, folder_name);
    wh_code code = folder.len ? look_through(out, wh_buf_str(&folder), w, err) : WH_OK;
    if (code != WH_OK) wh_err_wrap(err, "the files in %s", wh_buf_str(&folder));
    wh_buf_free(&folder);
    return code;
}

wh_code wh_shipped_find(wh_buf *out, const char *kind, const char *policy, const char *trunk, wh_err *err)
{
    wanted w = {.ending = ".gguf", .suits = head_suits, .kind = kind, .policy.path = policy, .trunk.path = trunk};
    return find(out, "heads", &w, err);
}

/* ---- for a run --------------------------------------------------------------------------------------------------------- */

/* The file of a reference; false: there is none, which will be said when it is loaded. */
static bool resolve(wh_buf *out, const char *reference)
{
    struct stat st;
    return wh_manifest_resolve(out, reference, NULL) == WH_OK && stat(wh_buf_str(out), &st) == 0;
}

/* A model that can be read, and is no reward model of its own. */
static bool is_plain_model(const char *path)
{
    wh_gguf *g;
    if (wh_gguf_open(&g, path, NULL) != WH_OK) return false;
    bool plain = !wh_gguf_has(g, "whet.prm.kind");
    wh_gguf_close(g);
    return plain;
}

wh_code wh_shipped_choose(wh_reward_opts *o, wh_buf *memory, const char *policy, const char *strategy, wh_err *err)
{
    bool scores = strcmp(strategy, "majority") != 0 && strcmp(strategy, "cot") != 0 && (!o->vote || strcmp(o->vote, "majority") != 0);
    if (o->prm && strcmp(o->prm, "none") == 0) {
        if (o->head) return wh_err_set(err, WH_ERR_ARG, "--prm none and --prm-head contradict each other");
        o->prm = NULL;
        return WH_OK;
    }
    if (o->head || o->kind || (!o->prm && !scores)) return WH_OK;
    wh_buf path = {0}, trunk = {0};
    wh_code code = WH_OK;
    bool found = resolve(&path, policy) && is_plain_model(wh_buf_str(&path));
    if (found && o->prm) found = resolve(&trunk, o->prm) && is_plain_model(wh_buf_str(&trunk));
    if (found) code = wh_shipped_find(memory, "prm", wh_buf_str(&path), o->prm ? wh_buf_str(&trunk) : NULL, err);
    if (code == WH_OK && memory->len) o->head = wh_buf_str(memory);
    wh_buf_free(&path);
    wh_buf_free(&trunk);
    return code;
}

/* ---- profiles ---------------------------------------------------------------------------------------------------------- */

/* Is text what the file's bytes are known by? No text and no file are the same as well. */
static wh_code is_of(bool *yes, const char *text, known *k, wh_err *err)
{
    if (!text || !k->path) *yes = !text && !k->path;
    if (!text || !k->path) return WH_OK;
    if (!k->sha256[0]) WH_TRY(wh_load_identity(k->sha256, k->path, err));
    *yes = strcmp(text, k->sha256) == 0;
    return WH_OK;
}

static wh_code profile_suits(bool *yes, wanted *w, const char *path, wh_err *err)
{
    wh_profile p;
    WH_TRY(wh_profile_read(&p, path, err));
    const json_t *policy = json_object_get(p.json, "policy"), *prm = json_object_get(p.json, "prm");
    bool scored = json_is_object(prm), fast = json_object_get(policy, "form") != NULL;
    wh_code code = WH_OK;
    *yes = scored == w->scored && fast == w->fast;
    if (*yes) code = is_of(yes, json_string_value(json_object_get(policy, "sha256")), &w->policy, err);
    if (*yes && scored) code = is_of(yes, json_string_value(json_object_get(prm, "sha256")), w->trunk.path ? &w->trunk : &w->policy, err);
    if (*yes && scored) code = is_of(yes, json_string_value(json_object_get(prm, "head_sha256")), &w->head, err);
    wh_profile_free(&p);
    return code;
}

wh_code wh_shipped_profile(wh_spend_opts *o, wh_buf *memory, const wh_load_opts *policy, const wh_reward_opts *reward, wh_err *err)
{
    if (o->profile && strcmp(o->profile, "none") == 0) {
        o->profile = NULL;
        return WH_OK;
    }
    if (o->profile || !wh_spend_wanted(o)) return WH_OK;
    wh_buf path = {0}, trunk = {0};
    wh_code code = WH_OK;
    if (resolve(&path, policy->policy) && (!reward->prm || resolve(&trunk, reward->prm))) {
        wanted w = {.ending = ".json", .suits = profile_suits, .policy.path = wh_buf_str(&path), .head.path = reward->head,
                    .trunk.path = reward->prm ? wh_buf_str(&trunk) : NULL, .scored = wh_reward_wanted(reward), .fast = policy->fast};
        code = find(memory, "profiles", &w, err);
    }
    if (code == WH_OK && memory->len) o->profile = wh_buf_str(memory);
    wh_buf_free(&path);
    wh_buf_free(&trunk);
    return code;
}
