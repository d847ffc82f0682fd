//! Making a recipe smaller: one thing less at a time.

use model::Millis;

use super::{Burst, Recipe, Scaler, Selection};

impl Recipe {
    /// Recipes that have one thing less, or one thing at its default; the boldest first. None of
    /// them is drawn, so a recipe that cannot be made smaller has been seen from all sides.
    #[must_use]
    pub fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |change: &dyn Fn(&mut Self)| {
            let mut recipe = self.clone();
            change(&mut recipe);
            if recipe != *self && !all.contains(&recipe) {
                all.push(recipe);
            }
        };
        for at in 0..self.faults.len() {
            add(&|recipe| drop(recipe.faults.remove(at)));
        }
        if self.bursts.len() > 1 {
            for at in 0..self.bursts.len() {
                add(&|recipe| drop(recipe.bursts.remove(at)));
            }
        }
        for at in 0..self.bursts.len() {
            for change in smaller_bursts() {
                add(&|recipe| change(&mut recipe.bursts[at]));
            }
        }
        add(&|recipe| recipe.selection = Selection::All);
        add(&|recipe| recipe.scale_on_in_flight = None);
        add(&|recipe| recipe.unfinished_only = false);
        add(&|recipe| recipe.pool_by_name = false);
        add(&|recipe| (recipe.target, recipe.activation) = (1, 0));
        add(&|recipe| simpler(&mut recipe.scaler));
        add(&|recipe| recipe.min = 0);
        add(&|recipe| recipe.polling_interval = 30);
        add(&|recipe| recipe.max = 5.max(recipe.min + 1));
        add(&|recipe| (recipe.nodes, recipe.pods_per_node) = (recipe.nodes.max(1), 30));
        add(&|recipe| recipe.grace = 30);
        all
    }
}

fn smaller_bursts() -> [fn(&mut Burst); 4] {
    [
        |burst| burst.builds = (burst.builds / 2).max(1),
        |burst| burst.jobs = 1,
        |burst| burst.demands.clear(),
        |burst| burst.duration = Millis::minutes(1).min(burst.duration),
    ]
}

/// Everything at its default that is not the kind of object.
fn simpler(scaler: &mut Scaler) {
    match scaler {
        Scaler::Object { stateful, long_lived, cooldown, window, cached, fallback } => {
            (*stateful, *long_lived, *cooldown) = (false, true, 300);
            (*window, *cached, *fallback) = (None, false, None);
        }
        Scaler::Job { strategy, history, backoff_limit } => {
            (*strategy, *history, *backoff_limit) = ("default", 100, 0);
        }
    }
}
