//! The pages on the admin listeners: what they share, and how they are served.
//!
//! A page asks for one document each second. Events over a stream that stays open would save
//! nothing, since every figure moves in every second anyway, and would cost something: an open
//! answer that a drain has to wait for, and a page that must find out by itself that the
//! stream is dead. What is asked for anew also pauses by itself while nobody looks.
//!
//! The document holds series as they are in `/metrics`, by the same names: a page is a
//! dashboard without a Prometheus, and keeps the last minutes itself.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`parts`] | serves a page and what both pages share, and says who may ask |
//! | [`plain`] | a page whose document holds nothing but series |
//! | [`series`] | the chosen series as a document |
//! | `style.css`, `chart.css` | the looks, in light and in dark |
//! | `figures.js` | sums, rates and quantiles of series, and how numbers are written |
//! | `chart.js` | one chart, with the same in words and as a table |
//! | `dom.js` | writes into the page without taking the focus from anybody |
//! | `looks.js` | what the inspector's second looks came to |
//! | `live.js` | asks each second, remembers five minutes, says when nobody answers |

pub mod parts;
pub mod plain;
pub mod series;
