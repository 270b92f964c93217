/* SPDX-License-Identifier: Apache-2.0
 *
 * functions: the words of PromQL that the editor completes and colours.
 */
export interface Word {
    name: string;
    detail: string; /* arguments, or what kind of word */
    help: string;
}

const list = (text: string): Word[] =>
    text
        .trim()
        .split("\n")
        .map((line) => {
            const [name, detail, help] = line.split("|").map((part) => part.trim());
            return { name: name!, detail: detail!, help: help! };
        });

export const functions = list(`
rate | (range) | increase per second, averaged over the range; for counters
irate | (range) | increase per second between the last two samples
increase | (range) | increase over the range; for counters
delta | (range) | difference between end and start; for gauges
idelta | (range) | difference between the last two samples
deriv | (range) | slope per second by linear regression
predict_linear | (range, seconds) | value so many seconds ahead, by linear regression
forecast | (range, seconds) | value so many seconds ahead, seasons included
forecast_quantile | (q, range, seconds) | quantile of the forecast
anomaly_score | (range) | 0 usual … 1 outside what was forecast
avg_over_time | (range) | mean over the range
min_over_time | (range) | lowest over the range
max_over_time | (range) | highest over the range
sum_over_time | (range) | sum over the range
count_over_time | (range) | number of samples in the range
last_over_time | (range) | newest sample in the range
first_over_time | (range) | oldest sample in the range
present_over_time | (range) | 1 where there was any sample
absent_over_time | (range) | 1 when there was no sample
quantile_over_time | (q, range) | quantile over the range
stddev_over_time | (range) | standard deviation over the range
stdvar_over_time | (range) | variance over the range
mad_over_time | (range) | median absolute deviation over the range
ts_of_min_over_time | (range) | when the lowest value was
ts_of_max_over_time | (range) | when the highest value was
ts_of_first_over_time | (range) | when the oldest sample was
ts_of_last_over_time | (range) | when the newest sample was
double_exponential_smoothing | (range, sf, tf) | value smoothed with its trend
changes | (range) | how often the value changed
resets | (range) | how often the counter was reset
histogram_quantile | (q, buckets) | quantile of a histogram
histogram_fraction | (low, high, buckets) | share of observations between two bounds
histogram_quantiles | (buckets, label, q …) | several quantiles, told apart by a label
histogram_avg | (vector) | mean of a native histogram's observations
histogram_count | (vector) | number of a native histogram's observations
histogram_sum | (vector) | sum of a native histogram's observations
histogram_stddev | (vector) | standard deviation of a native histogram's observations
histogram_stdvar | (vector) | variance of a native histogram's observations
abs | (vector) | absolute value
absent | (vector) | 1 when there is no such series
ceil | (vector) | rounded up
floor | (vector) | rounded down
round | (vector, to) | rounded to the nearest
clamp | (vector, min, max) | kept within bounds
clamp_min | (vector, min) | kept above a bound
clamp_max | (vector, max) | kept below a bound
exp | (vector) | e to the power
ln | (vector) | natural logarithm
log2 | (vector) | logarithm to base 2
log10 | (vector) | logarithm to base 10
sqrt | (vector) | square root
sgn | (vector) | sign
acos | (vector) | arc cosine
acosh | (vector) | inverse hyperbolic cosine
asin | (vector) | arc sine
asinh | (vector) | inverse hyperbolic sine
atan | (vector) | arc tangent
atanh | (vector) | inverse hyperbolic tangent
cos | (vector) | cosine
cosh | (vector) | hyperbolic cosine
sin | (vector) | sine
sinh | (vector) | hyperbolic sine
tan | (vector) | tangent
tanh | (vector) | hyperbolic tangent
deg | (vector) | radians in degrees
rad | (vector) | degrees in radians
pi | () | 3.14159…
min_of | (scalar, scalar) | the smaller of two numbers
max_of | (scalar, scalar) | the larger of two numbers
info | (vector, {labels}) | adds the labels of info series such as target_info
label_replace | (vector, to, replacement, from, regex) | sets a label from another by a pattern
label_join | (vector, to, separator, from …) | joins labels into one
scalar | (vector) | the only element as a number
vector | (scalar) | a number as a vector without labels
sort | (vector) | ascending by value
sort_desc | (vector) | descending by value
sort_by_label | (vector, label …) | ascending by labels, numbers in them as numbers
sort_by_label_desc | (vector, label …) | descending by labels
time | () | evaluation time in seconds
timestamp | (vector) | time of the samples
start_timestamp | (vector) | when counting of the samples began
start | () | beginning of the query's range, in seconds
end | () | end of the query's range, in seconds
step | () | the query's step, in seconds
range | () | length of the query's range, in seconds
minute | (vector) | minute of the hour, UTC
hour | (vector) | hour of the day, UTC
day_of_week | (vector) | 0 Sunday … 6 Saturday, UTC
day_of_month | (vector) | 1 … 31, UTC
day_of_year | (vector) | 1 … 366, UTC
days_in_month | (vector) | 28 … 31, UTC
month | (vector) | 1 … 12, UTC
year | (vector) | year, UTC
`);

export const aggregations = list(`
sum | by (…) | sum of the group
avg | by (…) | mean of the group
min | by (…) | lowest of the group
max | by (…) | highest of the group
count | by (…) | number of elements of the group
group | by (…) | 1 for each group
stddev | by (…) | standard deviation of the group
stdvar | by (…) | variance of the group
topk | (k, vector) | the k highest
bottomk | (k, vector) | the k lowest
quantile | (q, vector) | quantile of the group
limitk | (k, vector) | k of the group
limit_ratio | (ratio, vector) | a share of the group, always the same series
count_values | (label, vector) | how many elements have each value
`);

export const keywords = list(`
by | (labels) | groups by these labels
without | (labels) | groups by all but these labels
on | (labels) | matches by these labels
ignoring | (labels) | matches by all but these labels
group_left | (labels) | many on the left match one
group_right | (labels) | many on the right match one
offset | duration | looks back in time
fill | (number) | stands for what is missing on either side
fill_left | (number) | stands for what is missing on the left
fill_right | (number) | stands for what is missing on the right
anchored | modifier | the range begins at the sample before it
smoothed | modifier | values between samples lie on the line between them
bool | keyword | comparison gives 0 or 1
and | operator | both sides have it
or | operator | either side has it
unless | operator | the right side lacks it
atan2 | operator | angle of two sides
`);
