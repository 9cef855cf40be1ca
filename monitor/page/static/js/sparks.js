// The small curves beside the tracks' names: 24 hours in quarters of an hour, which move on.

const QUARTER = 900; // seconds
const COUNT = 96;

/** The curve that ends with the quarter of `end` (Unix seconds); what isn't known yet is a gap. */
export function upTo(spark, end) {
  const start = (Math.floor(end / QUARTER) - COUNT + 1) * QUARTER;
  if (spark && spark.start >= start) return spark;
  const kept = spark ? spark.negative_share.slice((start - spark.start) / QUARTER) : [];
  return { start, negative_share: [...kept, ...new Array(COUNT - kept.length).fill(null)] };
}

/** The curve with this quarter's share in its place. */
export function withQuarter(spark, start, share) {
  const moved = upTo(spark, start);
  const shares = [...moved.negative_share];
  const place = (start - moved.start) / QUARTER;
  if (place >= 0) shares[place] = share;
  return { start: moved.start, negative_share: shares };
}
