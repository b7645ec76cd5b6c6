#include "app/suggest.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 48 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment distance, ignoring case; three rolling rows. Longer words are far from all. */
static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST) return LONGEST;
    size_t rows[3][LONGEST + 1];
    for (size_t j = 0; j <= nb; j++) rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && tolower((unsigned char)a[i - 2]) == y &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return rows[na % 3][nb];
}

const char *wh_suggest_name(const char *word, const char *const *names, size_t n)
{
    size_t len = strlen(word), best = 1 + len / 3;
    const char *found = NULL;
    if (best > 4) best = 4;
    for (size_t i = 0; i < n; i++) {
        if (!names[i]) continue;
        size_t d = distance(word, names[i]);
        size_t common = strlen(names[i]) < len ? strlen(names[i]) : len;
        if (common >= 3 && strncmp(word, names[i], common) == 0) d = 1;
        if (d <= best && (!found || d < best)) {
            best = d;
            found = names[i];
        }
    }
    return found;
}
