/* One URL into a part, by libcurl. A transfer that breaks after it brought something is taken up again
 * with a Range request; a host that cannot be reached fails within seconds, so that the next source of the
 * entry gets its turn. */
#include "app/fetch.h"

#include "app/interrupt.h"
#include "app/out.h"

#include <curl/curl.h>
#include <unistd.h>

typedef struct transfer {
    wh_part *part;
    CURL    *curl;
    wh_err  *err;
    wh_code  code;  /* why the callback stopped the transfer */
    bool     begun; /* the first bytes came */
} transfer;

/* Before the first byte: does the server go on where we asked it to, and is it the file we want? */
static wh_code begin(transfer *t)
{
    wh_part *p = t->part;
    long status = 0;
    curl_off_t length = -1;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (p->have && status == 200) WH_TRY(wh_part_cut(p, 0, t->err)); /* no ranges there: all of it again */
    if (length < 0) return WH_OK;
    uint64_t whole = p->have + (uint64_t)length;
    if (p->total && whole != p->total)
        return wh_err_set(t->err, WH_ERR_FORMAT, "the file there has %llu bytes, not %llu", (unsigned long long)whole,
                          (unsigned long long)p->total);
    p->total = whole;
    return WH_OK;
}

static size_t on_data(char *data, size_t size, size_t n, void *user)
{
    transfer *t = user;
    if (!t->begun) t->code = begin(t);
    t->begun = true;
    if (t->code == WH_OK) t->code = wh_part_append(t->part, data, size * n, t->err);
    wh_part_show(t->part, 0);
    return t->code == WH_OK ? size * n : 0;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    (void)user, (void)total, (void)now, (void)up_total, (void)up_now;
    return wh_interrupt_asked();
}

static wh_code attempt(wh_part *p, const char *url, wh_err *err)
{
    CURL *c = curl_easy_init();
    if (!c) return wh_err_set(err, WH_ERR_NOMEM, "no memory to fetch %s", p->label);
    char why[CURL_ERROR_SIZE] = "";
    transfer t = {p, c, err, WH_OK, false};
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "whet/" WH_VERSION);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1000L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 20L);
    curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)p->have);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    CURLcode rc = curl_easy_perform(c);
    curl_easy_cleanup(c);
    if (t.code != WH_OK) return t.code;
    if (rc == CURLE_OK) return WH_OK;
    if (wh_interrupt_asked()) {
        p->local = true;
        return wh_err_set(err, WH_ERR_CANCELLED, "interrupted; the same command goes on where this one stopped");
    }
    return wh_err_set(err, WH_ERR_IO, "%s", *why ? why : curl_easy_strerror(rc));
}

wh_code wh_fetch_url(wh_part *p, const char *url, wh_err *err)
{
    enum { ATTEMPTS = 5 };
    wh_code code = WH_OK;
    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t before = p->have;
        code = attempt(p, url, err);
        if (code == WH_OK || p->local || code != WH_ERR_IO || p->have == before) break;
        sleep(1);
    }
    return code;
}
