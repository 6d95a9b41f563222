//! Building a router from a route table.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use plimsoll_snapshot::template::Template;
use plimsoll_snapshot::{ApiVersion, NamelessNames, OperationRoute, Routes, ServiceRoutes};

use super::methods::Methods;
use super::options::{PassthroughOptions, RouterFault, RouterOptions};
use super::tree::Tree;
use super::{HeaderVersion, Operation, PassthroughRoute, RoutedService, Router};

impl Router {
    /// Builds the router for a route table.
    ///
    /// # Errors
    ///
    /// [`RouterFault`] for a table that `contracts` would not have made: another format, a
    /// template or method that cannot be read, two operations on the same method and paths, or a
    /// passthrough to a service that is not there.
    pub fn build(routes: &Routes, options: &RouterOptions) -> Result<Self, RouterFault> {
        routes.check_format()?;
        let mut router = Self {
            services: Vec::with_capacity(routes.services.len()),
            operations: Vec::new(),
            passthroughs: Vec::new(),
            tree: Tree::default(),
            versions: Vec::new(),
            by_prefix: Vec::new(),
        };
        for service in &routes.services {
            router.add_service(service, options)?;
        }
        router.order_prefixes();
        router.add_passthroughs(&options.passthrough)?;
        Ok(router)
    }

    fn add_service(
        &mut self,
        routes: &ServiceRoutes,
        options: &RouterOptions,
    ) -> Result<(), RouterFault> {
        let index =
            u16::try_from(self.services.len()).map_err(|_| RouterFault::TooMany("services"))?;
        let name: Arc<str> = routes.service.as_str().into();
        let (prefix, header) = match &routes.version {
            None => (None, None),
            Some(ApiVersion::Prefix(prefix)) => (Some(prefix.trim_end_matches('/').into()), None),
            Some(ApiVersion::Header { name, value }) => {
                let header = HeaderName::try_from(name.as_str()).map_err(|_| {
                    RouterFault::VersionHeader {
                        service: routes.service.clone(),
                        header: name.clone(),
                    }
                })?;
                (None, Some((header, Box::from(value.as_bytes()))))
            }
        };
        for route in &routes.operations {
            self.add_operation(route, (index, &name), header.as_ref())?;
        }
        self.services.push(RoutedService {
            pass_unknown: options.pass_unknown.contains(&routes.service),
            name,
            prefix,
            has_contract: routes.has_contract,
            names: NamelessNames::new(),
            header,
        });
        Ok(())
    }

    fn add_operation(
        &mut self,
        route: &OperationRoute,
        (service, service_name): (u16, &Arc<str>),
        header: Option<&(HeaderName, Box<[u8]>)>,
    ) -> Result<(), RouterFault> {
        let fault_names = || (service_name.to_string(), route.id.clone());
        let template = Template::parse(&route.template).map_err(|source| {
            let (service, operation) = fault_names();
            RouterFault::Template { service, operation, template: route.template.clone(), source }
        })?;
        let method = Method::from_bytes(route.method.as_bytes())
            .ok()
            .filter(|method| !Methods::of(method).is_empty())
            .ok_or_else(|| {
                let (service, operation) = fault_names();
                RouterFault::Method { service, operation, method: route.method.clone() }
            })?;
        let index =
            u32::try_from(self.operations.len()).map_err(|_| RouterFault::TooMany("operations"))?;
        let operation = Arc::new(Operation {
            index,
            id: route.id.as_str().into(),
            service,
            service_name: Arc::clone(service_name),
            method,
            template: route.template.as_str().into(),
            security: route.security.clone(),
            cost: route.cost,
            revocation_strict: route.revocation_strict,
            retries: route.retries,
            hedge: route.hedge,
            breaker: route.breaker,
            admission: route.admission,
            criticality: route.criticality,
            fallback_file: route.fallback_file.clone(),
            fallback_operation: route.fallback_operation.clone(),
            audit: route.audit,
            compression: route.compression,
            idempotency: route.idempotency.clone(),
            cache: route.cache.clone(),
            body_bytes_max: route.body_bytes_max,
            total_timeout: route.total_timeout_ms.map(Duration::from_millis),
        });
        self.tree_of(header)
            .insert(&template, Arc::clone(&operation))
            .map_err(|first| RouterFault::Conflict { first, second: Arc::clone(&operation) })?;
        self.operations.push(operation);
        Ok(())
    }

    fn tree_of(&mut self, header: Option<&(HeaderName, Box<[u8]>)>) -> &mut Tree {
        let Some((name, value)) = header else {
            return &mut self.tree;
        };
        let place = self
            .versions
            .iter()
            .position(|version| version.header == *name && version.value == *value);
        let place = place.unwrap_or_else(|| {
            self.versions.push(HeaderVersion {
                header: name.clone(),
                value: value.clone(),
                tree: Tree::default(),
            });
            self.versions.len() - 1
        });
        &mut self.versions[place].tree
    }

    fn order_prefixes(&mut self) {
        let length = |index: &u16| {
            self.services[usize::from(*index)].prefix.as_ref().map_or(0, |prefix| prefix.len())
        };
        let mut order: Vec<u16> = (0u16..)
            .zip(&self.services)
            .filter(|(_, service)| service.prefix.is_some())
            .map(|(index, _)| index)
            .collect();
        order.sort_by_key(|index| Reverse(length(index)));
        self.by_prefix = order;
    }

    fn add_passthroughs(&mut self, declared: &[PassthroughOptions]) -> Result<(), RouterFault> {
        let services: HashMap<&str, (u16, &Arc<str>)> = (0u16..)
            .zip(&self.services)
            .map(|(index, service)| (&*service.name, (index, &service.name)))
            .collect();
        let mut ordered: Vec<&PassthroughOptions> = declared.iter().collect();
        ordered.sort_by_key(|route| Reverse(route.prefix.trim_end_matches('/').len()));
        for route in ordered {
            let Some(&(service, service_name)) = services.get(route.service.as_str()) else {
                return Err(RouterFault::UnknownService {
                    prefix: route.prefix.clone(),
                    service: route.service.clone(),
                });
            };
            let prefix = route.prefix.trim_end_matches('/');
            let index = u32::try_from(self.passthroughs.len())
                .map_err(|_| RouterFault::TooMany("passthroughs"))?;
            self.passthroughs.push(Arc::new(PassthroughRoute {
                index,
                id: format!("{prefix}/*").into(),
                prefix: prefix.into(),
                service,
                service_name: Arc::clone(service_name),
                kinds: route.kinds,
                security: route.security.clone(),
            }));
        }
        Ok(())
    }
}
