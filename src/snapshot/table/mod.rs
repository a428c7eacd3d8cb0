//! The table of routes: host and path choose, most specific first, then the method.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use http::Method;

use crate::{
    model::{Methods, Route},
    snapshot::uid,
};

/// All routes, ready to be looked up.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    by_host: HashMap<Arc<str>, Paths>,
    any_host: Paths,
}

/// The routes of one host by path.
#[derive(Clone, Debug, Default)]
struct Paths {
    root: Node,
    groups: Vec<Group>,
}

/// A place in the tree of segments. Not matchit: there a catch-all and a parameter cannot stand at
/// one place, and here the more specific of the two simply goes first.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Most places have few, which are compared faster than one is hashed.
    literals: BTreeMap<String, Self>,
    parameter: Option<Box<Self>>,
    /// The group that takes the rest from here on, be it empty.
    rest: Option<usize>,
    /// The group whose path ends here.
    end: Option<usize>,
}

/// The routes that share a path and differ by method.
#[derive(Clone, Debug, Default)]
struct Group {
    routes: Vec<Entry>,
}

/// A route and its number.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The route.
    pub route: Arc<Route>,
    /// Unique within the process, so that the journal finds what it knows of the route by a number.
    pub uid: u64,
}

/// What a look-up found.
#[derive(Debug)]
pub enum Found<'a> {
    /// The route that takes the request.
    Route(&'a Entry),
    /// Routes take the path, but none the method.
    OtherMethods(Vec<Method>),
    /// Nothing takes the path.
    Nothing,
}

impl RouteTable {
    /// Builds the table. Routes that the configuration check would refuse are left out.
    pub fn new(routes: &[Arc<Route>]) -> Self {
        let mut table = Self::default();
        for route in routes {
            let paths = match &route.host {
                None => &mut table.any_host,
                Some(host) => table.by_host.entry(Arc::clone(host)).or_default(),
            };
            paths.add(route);
        }
        table
    }

    /// Makes a table of copies of the routes, under the same numbers.
    pub fn copy(&self) -> Self {
        let mut table = self.clone();
        let paths = table.by_host.values_mut().chain([&mut table.any_host]);
        for entry in paths.flat_map(|paths| &mut paths.groups).flat_map(|group| &mut group.routes) {
            entry.route = Arc::new(Route::clone(&entry.route));
        }
        table
    }

    /// Lists all routes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        let paths = self.by_host.values().chain([&self.any_host]);
        paths.flat_map(|paths| &paths.groups).flat_map(|group| &group.routes)
    }

    /// Finds the route of a request. A host of its own goes before any host, even where the path
    /// pattern of the latter is more specific.
    pub fn find(&self, host: Option<&str>, path: &str, method: &Method) -> Found<'_> {
        let Some(group) = self.group(host, path) else { return Found::Nothing };
        // A route that lists HEAD goes before one whose GET implies it; the check has seen to it.
        match group.routes.iter().find(|entry| entry.route.methods.contains(method)) {
            Some(entry) => Found::Route(entry),
            None => Found::OtherMethods(group.allowed()),
        }
    }

    /// Gives the methods that some route at a host and path answers; `None` where there is no route.
    pub fn methods(&self, host: Option<&str>, path: &str) -> Option<Methods> {
        let group = self.group(host, path)?;
        let takes_any = group.routes.iter().any(|entry| entry.route.methods == Methods::Any);
        Some(if takes_any { Methods::Any } else { Methods::Only(group.allowed()) })
    }

    fn group(&self, host: Option<&str>, path: &str) -> Option<&Group> {
        let own = host.and_then(|host| self.by_host.get(host));
        own.and_then(|paths| paths.find(path)).or_else(|| self.any_host.find(path))
    }
}

impl Paths {
    fn add(&mut self, route: &Arc<Route>) {
        let place = self.root.place(&route.path);
        let index = *place.get_or_insert(self.groups.len());
        if index == self.groups.len() {
            self.groups.push(Group::default());
        }
        if let Some(group) = self.groups.get_mut(index) {
            group.routes.push(Entry { route: Arc::clone(route), uid: uid::next() });
        }
    }

    fn find(&self, path: &str) -> Option<&Group> {
        let index = self.root.find(path.strip_prefix('/')?)?;
        self.groups.get(index)
    }
}

impl Node {
    /// Gives the place of a pattern's group. The names of parameters do not matter.
    fn place(&mut self, pattern: &str) -> &mut Option<usize> {
        let mut node = self;
        for segment in pattern.split('/').skip(1) {
            if segment.starts_with("{*") {
                return &mut node.rest;
            }
            node = if segment.starts_with('{') {
                node.parameter.get_or_insert_default()
            } else {
                node.literals.entry(segment.to_owned()).or_default()
            };
        }
        &mut node.end
    }

    /// Finds the group of what is left of a path, without its first slash: a literal segment goes
    /// before a parameter, and that before the rest. The depth is that of the patterns, not of the
    /// path.
    fn find(&self, left: &str) -> Option<usize> {
        let (segment, after) = match left.split_once('/') {
            None => (left, None),
            Some((segment, after)) => (segment, Some(after)),
        };
        let into = |node: &Self| match after {
            None => node.end,
            Some(after) => node.find(after),
        };
        let literal = self.literals.get(segment).and_then(into);
        let parameter = || self.parameter.as_deref().filter(|_| !segment.is_empty()).and_then(into);
        literal.or_else(parameter).or(self.rest)
    }
}

impl Group {
    fn allowed(&self) -> Vec<Method> {
        let mut allowed = Vec::new();
        for entry in &self.routes {
            let Methods::Only(methods) = &entry.route.methods else { continue };
            for method in methods {
                if !allowed.contains(method) {
                    allowed.push(method.clone());
                }
            }
        }
        allowed
    }
}

#[cfg(test)]
mod tests;
