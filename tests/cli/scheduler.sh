# What the README says of the scheduler, on the bank it says it of: 300 problems of gsm8k_dev x 32 samples.
. "$(dirname "$0")/lib"
root=$(realpath "$here/../..")
bank=$root/tests/data/gsm8k_dev-coder-0.5b-300x32.bank
profiles=$root/models/profiles
replay() { checks=$((checks + 1)); "$whet" replay --bank "$bank" --bootstrap 300 --json "$@" 2>/dev/null | python3 -c '
import json, sys
for l in sys.stdin:
    r = json.loads(l)
    if "budget" in r:
        low, high = r["against_fixed_interval"]
        verdict = "better" if low > 0 else "worse" if high < 0 else "no worse"
        kept = r["flops"] <= r["budget"]
        print("%s at %.0fx: %s than fixed N%s" % (r["policy"], r["budget"] / 372e9, verdict, "" if kept else ", and beyond its budget"))
    else:
        ratio = r["flops_ratio"]
        print("%s: N = %d for %s" % (r["policy"], r["reaches_n"], "?" if ratio is None else "less than 0.6" if ratio < 0.6 else "less than it costs" if ratio < 1 else "more"))'; }
note votes alone
replay --profile "$profiles/coder-0.5b.json" --orders 24 --policy 'adaptive set'
note with the scores of the head, against majority
replay --profile "$profiles/coder-0.5b-prm.json" --orders 2 --policy 'adaptive set' --budget 2x,4x,8x,32x --vote prm_vote --against majority
finish
