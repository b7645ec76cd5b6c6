#include "plan/budget.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

wh_code wh_budget_parse(double *out, const char *text, const char *what, wh_err *err)
{
    static const char suffixes[] = "kMGTPE";
    char *end;
    double v = strtod(text, &end);
    const char *s = end != text && *end ? strchr(suffixes, *end) : NULL;
    if (s) {
        v *= pow(1000, (double)(s - suffixes) + 1);
        end++;
    }
    if (end == text || *end || !(v > 0) || !isfinite(v))
        return wh_err_set(err, WH_ERR_ARG, "%s is a number above 0, maybe with one of k M G T P E behind it, not '%.40s'", what, text);
    *out = v;
    return WH_OK;
}
