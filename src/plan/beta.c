#include "plan/beta.h"

#include "plan/minimize.h"

#include <math.h>

double wh_beta_log(double a, double b) { return lgamma(a) + lgamma(b) - lgamma(a + b); }

static double fraction(double x, double a, double b)
{
    enum { ROUNDS = 500 };
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int i = 1; i <= ROUNDS; i++) {
        double m = i, even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int half = 0; half < 2; half++) {
            double t = half ? odd : even;
            d = 1 + t * d;
            c = 1 + t / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            if (fabs(c) < tiny) c = tiny;
            f *= c * d;
        }
        if (fabs(c * d - 1) < 1e-15) break;
    }
    return f;
}

double wh_beta_cdf(double x, double a, double b)
{
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    double front = exp(a * log(x) + b * log1p(-x) - wh_beta_log(a, b));
    /* The fraction converges fast on this side of the mean; the other side is its mirror. */
    if (x < (a + 1) / (a + b + 2)) return front * fraction(x, a, b) / a;
    return 1 - front * fraction(1 - x, b, a) / b;
}

double wh_beta_leader_stays(double first, double second) { return wh_beta_cdf(0.5, second + 1, first + 1); }

typedef struct strength_fit {
    const wh_beta_draws *draws;
    size_t               n;
} strength_fit;

static double strength_loss(void *user, const double *x)
{
    const strength_fit *f = user;
    double s = exp(x[0]), sum = 0.1 * (x[0] - log(4)) * (x[0] - log(4));
    for (size_t i = 0; i < f->n; i++) {
        const wh_beta_draws *d = &f->draws[i];
        double m = fmin(fmax(d->mean, 1e-3), 1 - 1e-3);
        sum -= wh_beta_log(s * m + d->right, s * (1 - m) + d->n - d->right) - wh_beta_log(s * m, s * (1 - m));
    }
    return sum;
}

double wh_beta_strength(const wh_beta_draws *draws, size_t count)
{
    enum { ROUNDS = 200 };
    strength_fit f = {draws, count};
    double x = log(4);
    wh_minimize(&x, 1, 0.5, ROUNDS, strength_loss, &f);
    return fmin(fmax(exp(x), 0.1), 1000);
}
