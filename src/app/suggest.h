/* suggest: "did you mean ...?" for a word that is not in a list. */
#ifndef WH_APP_SUGGEST_H
#define WH_APP_SUGGEST_H

#include <stddef.h>

/* The name nearest to word (a transposition, a missing, extra or wrong letter counts 1 each; a name that
 * begins with word, or the other way round, is near too), or NULL when none is near enough to be what was meant. Names may be NULL. */
const char *wh_suggest_name(const char *word, const char *const *names, size_t n);

#endif
