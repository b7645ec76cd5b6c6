# What the README says of the scheduler, on the banks it says it of.
. "$(dirname "$0")/lib"
root=$(realpath "$here/../..")

# replay BANK FLOPS OPTIONS...: FLOPS: of one sample with its prompt
replay() {
    bank=$root/tests/data/$1.bank
    unit=$2
    shift 2
    checks=$((checks + 1))
    "$whet" replay --bank "$bank" --bootstrap 300 --json --policy 'adaptive set' "$@" 2>/dev/null | python3 -c '
import json, sys
for l in sys.stdin:
    r = json.loads(l)
    if "budget" in r:
        low, high = r["against_fixed_interval"]
        verdict = "better" if low > 0 else "worse" if high < 0 else "no worse"
        kept = r["flops"] <= r["budget"]
        print("%s at %.0fx: %s than fixed N%s" % (r["policy"], r["budget"] / '"$unit"', verdict, "" if kept else ", and beyond its budget"))
    else:
        ratio = r["flops_ratio"]
        print("%s: N = %d for %s" % (r["policy"], r["reaches_n"], "?" if ratio is None else "less than 0.6" if ratio < 0.6 else "less than it costs" if ratio < 1 else "more"))'
}
profiles=$root/models/profiles
note the 0.5B, votes alone
replay gsm8k_dev-coder-0.5b-300x32 372e9 --profile "$profiles/coder-0.5b.json" --orders 24
note the 0.5B with the scores of its head, against majority
replay gsm8k_dev-coder-0.5b-300x32 372e9 --profile "$profiles/coder-0.5b-prm.json" --orders 2 --budget 2x,4x,8x,32x --vote prm_vote --against majority
note the 1.5B, votes alone
replay gsm8k_dev-coder-1.5b-300x16 1.22e12 --profile "$profiles/coder-1.5b.json" --orders 24
note the 1.5B with the scores of its head, against majority
replay gsm8k_dev-coder-1.5b-300x16 1.22e12 --profile "$profiles/coder-1.5b-prm.json" --orders 2 --budget 2x,4x,8x,32x --vote prm_vote --against majority
note the 1.5B on MATH-500, votes alone
replay math500-coder-1.5b-100x16 1.80e12 --profile "$profiles/coder-1.5b.json" --orders 24
note the 1.5B on MATH-500 with the scores of its head, against majority
replay math500-coder-1.5b-100x16 1.80e12 --profile "$profiles/coder-1.5b-prm.json" --orders 2 --budget 2x,4x,8x,32x --vote prm_vote --against majority
finish
